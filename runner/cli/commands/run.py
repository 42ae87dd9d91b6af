"""`sagarun run`, also `sagarun FILE.yaml`: start a workflow and follow it to its end."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.assignment import Assignment, assignments, text_for_json, unknown_member
from runner.cli.failure import Exit, did_you_mean
from runner.cli.interruption import Stage
from runner.cli.options import shared_options
from runner.cli.parameters import duration_ms, workers_option
from runner.cli.wording import hosted

if TYPE_CHECKING:
    from runner.cli.access import Access
    from runner.cli.settings import Settings
    from runner.client import Client, RunHandle
    from runner.definition.model import Definition

STDIN = "standard input"
_NEED_WORKERS = ("SR301",)  # while nothing is known of the workers, each may be one that only reads


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for on the command line."""

    file: str
    given: str | None
    case: str | None
    sets: tuple[Assignment, ...]
    key: str | None
    detach: bool
    wait_ms: int | None
    modules: tuple[str, ...]
    stage: Stage = field(default_factory=lambda: Stage("nothing was started"))


@click.command(short_help="Start a workflow and follow it to its end.")
@click.argument("file", type=click.Path())
@click.option("--input", "given", metavar="FILE|-", help="The input: a JSON or YAML file, or standard input.")
@click.option(
    "--set", "sets", multiple=True, metavar="a.b=TEXT", callback=assignments,
    help="Change the input: a.b=text or a.b:=json; may be repeated.",
)
@click.option("--case", metavar="NAME", help="The input of a case of FILE.test.yaml.")
@click.option("--key", metavar="KEY", help="The idempotency key, instead of the definition's.")
@click.option("--detach", is_flag=True, help="Start it, and do not wait.")
@click.option("--wait", metavar="DURATION", callback=duration_ms, help="Not longer than this (60s); then exit code 5.")
@workers_option
@shared_options
def command(
    file: str, given: str | None, sets: tuple[Assignment, ...], case: str | None, key: str | None, detach: bool,
    wait: int | None, workers: tuple[str, ...],
) -> int:
    """Start the workflow defined in FILE (`-`: standard input; or its name in definitions/), and follow it.

    Without a server of your own (--redis-url), the embedded one, an engine and the workers run in this command.
    The run survives it: what is interrupted is finished by the next command.
    """
    from runner.errors import UsageError

    if file == "-" and given == "-":
        raise UsageError("the definition and the input cannot both come from standard input")
    if detach and wait is not None:
        raise UsageError("--detach does not wait, so --wait has no meaning with it")
    if key is not None and not key.strip():
        raise UsageError("the key is empty: a variable that is not set? Without --key, the definition's is used")
    order = Order(file, given, case, sets, key, detach, wait, workers)
    try:
        return _run(order)
    except KeyboardInterrupt:  # before it was followed, or in the middle of saying something
        return order.stage.tell()


def _run(order: Order) -> int:
    from runner.cli.settings import settings

    chosen = settings(None if order.file == "-" else Path(order.file))
    return _run_here(order, chosen) if chosen.redis_url is None else _run_elsewhere(order, chosen)


def _run_here(order: Order, chosen: Settings) -> int:
    """On the embedded server, with an engine and the workers in this command."""
    from runner.cli.checking.named import definition_path
    from runner.cli.hosting.start import hosting

    path = definition_path(order.file, chosen.project)
    text = sys.stdin.read() if path is None else ""
    if order.detach:
        return _start_detached(order, chosen, path, text)
    with hosting(chosen, order.modules) as host:
        # Twice: what can be said without the workers is said while they are still being imported.
        definition = load_definition(path, text, chosen, None, workers_follow=True)
        value = choose(order, chosen, definition, path)
        contracts = host.start()
        definition = load_definition(path, text, chosen, contracts)
        handle = _start(order, host.reach.client, definition, value)
        host.look_after(handle.id)
        _announce(host.reach, definition, handle, hosted(host.crew.modules, contracts))
        _say_signals(chosen, order, path, handle.id)
        return host.follow(handle.id, order.wait_ms)


def _start_detached(order: Order, chosen: Settings, path: Path | None, text: str) -> int:
    """On the embedded server, with a host that outlives this command."""
    from runner.cli.access import access
    from runner.cli.hosting.background import ensure_background
    from runner.cli.hosting.workshop import import_workers

    contracts = import_workers(chosen.project, order.modules).contracts()
    definition = load_definition(path, text, chosen, contracts)
    value = choose(order, chosen, definition, path)
    with access(chosen) as reach:
        handle = _start(order, reach.client, definition, value)
        ensure_background(chosen, order.modules)
        return _detached(handle, reach)


def _run_elsewhere(order: Order, chosen: Settings) -> int:
    """On a server of one's own: engines and workers run elsewhere."""
    from runner.cli.access import access
    from runner.cli.checking.contracts import locked_contracts
    from runner.cli.checking.named import definition_path
    from runner.cli.story.elsewhere import follow_elsewhere

    with access(chosen) as reach:
        path = definition_path(order.file, chosen.project)
        text = sys.stdin.read() if path is None else ""
        contracts = reach.client.contracts()
        if contracts is None:
            chosen.screen.note("! nothing is known of the workers: no `sagarun worker` was on this server yet")
            contracts = locked_contracts(chosen.project)
        definition = load_definition(path, text, chosen, contracts)
        value = choose(order, chosen, definition, path)
        handle = _start(order, reach.client, definition, value)
        if order.detach:
            return _detached(handle, reach)
        _announce(reach, definition, handle, "")
        _say_signals(chosen, order, path, handle.id)
        return follow_elsewhere(reach, handle.id, order.wait_ms)


def _start(order: Order, client: Client, definition: Definition, value: Any) -> RunHandle:
    order.stage.words = "it was being started; sagarun list says whether it was"
    handle = client.start(definition, value, order.key)
    order.stage.words = f"it was started, as run {handle.id}: sagarun watch {handle.id}"
    return handle


def choose(order: Order, chosen: Settings, definition: Definition, path: Path | None) -> Any:
    """An input that fits. Raises before anything is started."""
    from runner.cli.run_input import choose_input
    from runner.definition.inputs import InputChecker
    from runner.errors import InputError

    value, origin = choose_input(definition, path, given=order.given, case=order.case, settings=order.sets)
    try:
        InputChecker(definition.input_schema).prepare(value)
    except InputError as error:
        error.problems = tuple(problem + text_for_json(problem, order.sets) for problem in error.problems)
        raise
    if origin:
        chosen.screen.note(f"· {origin}")
    for assignment in order.sets:  # it fits, as the schema allows more than it names: it may be a slip all the same
        unknown = unknown_member(definition.input_schema, assignment.path)
        if unknown is not None:
            chosen.screen.note(f'! --set {assignment.text}: the schema has no "{unknown[0]}".{did_you_mean(*unknown)}')
    return value


def load_definition(
    path: Path | None, text: str, chosen: Settings, contracts: Mapping[str, Mapping[str, Any]] | None,
    *, workers_follow: bool = False,
) -> Definition:
    """The definition, if nothing is wrong with it; warnings are printed once, when the contracts are known.

    workers_follow: it is checked again with the contracts, so what they may yet put right is not complained of.
    """
    from runner.cli.checking import problems as form
    from runner.definition.load import examine, examine_text
    from runner.errors import DefinitionError
    from runner.lint.linter import lint_draft

    root = chosen.project.root
    if path is None:
        draft = examine_text(text, file=STDIN, root=root, contracts=contracts)
    else:
        draft = examine(path, root=root, contracts=contracts)
    problems = lint_draft(draft, contracts)
    if workers_follow:
        problems = [problem for problem in problems if problem.code not in _NEED_WORKERS]
    if form.has_errors(problems) or draft.definition is None:
        if path is not None:
            raise DefinitionError(problems)
        chosen.screen.error(form.full(problems, root, {STDIN: text}))
        raise click.exceptions.Exit(Exit.NEGATIVE)
    for problem in problems if contracts is not None else ():
        chosen.screen.note(str(problem))
    return draft.definition


def _announce(reach: Access, definition: Definition, handle: RunHandle, workers: str) -> None:
    from runner.cli.story.reading import read_view

    screen = reach.settings.screen
    # One that was there before goes on with the definition that it began with.
    version = definition.version if handle.created else read_view(reach.client, handle.id, ()).version
    parts = [f"{definition.workflow} {version}", f"run {handle.id}", reach.opened.label, workers]
    screen.story([("▶ ", "bold cyan"), (" · ".join(part for part in parts if part), "")])
    if not handle.created:
        screen.note(f"· this key was used before, with the same input: this is that run, {handle.status()}")


def _say_signals(chosen: Settings, order: Order, path: Path | None, run_id: str) -> None:
    """A case's signals are sent in tests only: here a person does, and is told how."""
    from runner.cli.run_input import case_signals
    from runner.cli.story.waits import sending

    for name, data, after in case_signals(path, order.case):
        when = f"after {after}" if after else "when the run waits for it"
        chosen.screen.note(f"· {when}, this case sends: {sending(run_id, name, data)}")


def _detached(handle: RunHandle, reach: Access) -> int:
    screen = reach.settings.screen
    if screen.format == "text":
        screen.data(handle.id)
    else:
        screen.json({"run_id": handle.id, "created": handle.created, "status": handle.status()})
    screen.note(f"started; follow it with: sagarun watch {handle.id}")
    return Exit.DONE
