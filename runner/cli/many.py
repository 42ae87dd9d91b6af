"""Acting on the runs that a query fits: choose, ask whether that is meant, act on each, tell what came of each.

Rule: nothing is done before every run that it would be done to was named or counted, and agreed to.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

MAX_RUNS = 10_000
NAMED = 10  # runs that are shown before it is asked whether they are meant


def query_options(command: Command) -> Command:
    """--query and --yes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--query", "--where", "query", metavar="QUERY",
        help="All runs that it fits, instead of one RUN: 'workflow:order status:stuck since:1d'.",
    ),
    click.option("--yes", "-y", is_flag=True, help="With --query: do not ask whether these runs are meant."),
)  # fmt: skip


def error_option(command: Command) -> Command:
    """--error, for what a group of errors has stopped."""
    decorate: Callable[[Command], Command] = click.option(
        "--error", "group", metavar="ID", help="The runs that this group of errors has stopped; see `sagarun errors`."
    )
    return decorate(command)


@dataclass(frozen=True, slots=True)
class Act:
    """One verb, and how it is asked of one run: the answer, and the run that it started, if it did."""

    verb: str
    ask: Callable[[Any, str, float], tuple[str, str]]
    roots_only: bool = False  # a child is acted on through the run that started it
    once: bool = False  # not again where it was done before, and came to anything


@dataclass(slots=True)
class Result:
    """What came of it for one run."""

    run_id: str
    verb: str
    answer: str
    why: str = ""
    started: str = ""  # rerun: the new run
    status: str = ""  # where this command saw it through: what became of the run, or of the new one

    def json(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in self.__slots__}


def one_run(run: str | None, query: str | None, group: str | None = None) -> str | None:
    """The RUN; None: many are to be chosen. Raises UsageError unless exactly one of both was said."""
    from runner.errors import UsageError

    if run is not None and (query is not None or group is not None):
        raise UsageError(f"{run!r} is one run, and --query or --error choose others: leave one of them out")
    if run is None and query is None and group is None:
        raise UsageError("say which RUN, or which ones with --query QUERY")
    return run


def run_and(words: Sequence[str], what: str, query: str | None) -> tuple[str | None, str]:
    """RUN and the word behind it; with a query that word alone. Raises UsageError."""
    from runner.errors import UsageError

    wanted = 2 if query is None else 1
    if len(words) != wanted:
        form = f"RUN {what}" if query is None else f"--query QUERY {what}"
        raise UsageError(f"{form} is wanted, and given is: {shlex.join(words)}")
    return one_run(words[0] if query is None else None, query), words[-1]


def of_group(query: str | None, group: str | None, status: str) -> str:
    """The query, narrowed to what the group of errors has stopped and is like that now."""
    return " ".join(filter(None, (query, f"pattern:{group} {status}" if group is not None else "")))


def act_on_many(act: Act, query: str, modules: Sequence[str] = (), *, yes: bool) -> int:
    """0: accepted by all (or there are none). 1: refused by some. 3: some are stuck. 5: some have not answered."""
    from runner.cli.access import access, has_runs
    from runner.cli.settings import settings
    from runner.query import parse_query

    chosen = settings()
    parse_query(query, 1)  # also where there is nothing to be looked for
    if not has_runs(chosen):
        return _tell(chosen, act, [])
    with access(chosen) as reach:
        runs = _choose(reach, act, query)
        _confirm(chosen, act, runs, yes=yes)
        if not runs or not reach.opened.is_embedded:
            patience_s = 5.0 if reach.living("engine") else 0.0
            return _tell(chosen, act, [_ask(reach.client, act, run.run_id, patience_s) for run in runs])
    return _see_done(chosen, act, [run.run_id for run in runs], modules)


def _choose(reach: Any, act: Act, query: str) -> list[Any]:
    """Those that the query fits and to which the verb applies; the others are counted, and said."""
    from runner.cli.wording import plural
    from runner.errors import UsageError
    from runner.interpreter.state import TERMINAL
    from runner.interpreter.verdict import plain_refusal

    found = reach.client.list(query, limit=MAX_RUNS + 1)
    if len(found) > MAX_RUNS:
        raise UsageError(f"more than {MAX_RUNS:,} runs fit the query: narrow it, with since: and until: for instance")
    able = [
        run for run in found
        if not (act.roots_only and run.parent)
        and not plain_refusal(act.verb, run.status, is_terminal=run.status in TERMINAL, is_broken=False)
    ]
    again = _done_before(reach.client, able) if act.once else set()
    # What came right the second time is done: only who asks for such runs has them run a third time.
    mended = {run.run_id for run in able if run.rerun_of and run.status == "completed"} - again if act.once else set()
    if "rerun_of:" in query:
        mended = set()
    chosen = [run for run in able if run.run_id not in again | mended]
    note = reach.settings.screen.note
    if mended:
        note(f"· left out, because {'it is a rerun that' if len(mended) == 1 else 'they are reruns that'} completed: "
             f"{plural(len(mended), 'run')}")
    if again:
        note(f"· left out, because {'it was' if len(again) == 1 else 'they were'} run again already: "
             f"{plural(len(again), 'run')}")
    standing = sum(run.status == "abandoned" for run in chosen) if act.once else 0
    if standing:
        note(f"! {plural(standing, 'run')} of these {'was' if standing == 1 else 'were'} abandoned: what still stands "
             "of them is done a second time (-status:abandoned leaves them out)")
    if len(able) < len(found):
        note(f"· {act.verb} does not apply to {len(found) - len(able)} of {plural(len(found), 'run')} found")
    return chosen


def _done_before(client: Any, runs: Sequence[Any]) -> set[str]:
    """Those that were run again: twice is once too often, and a later one that failed too is found itself."""
    if not runs:
        return set()
    wanted = {run.run_id for run in runs}
    first_ms = min(run.created_at_ms for run in runs)
    since = datetime.fromtimestamp(first_ms / 1_000, UTC).isoformat()
    later = client.list(f"rerun_of:any since:{since}", limit=sys.maxsize)
    return wanted & {run.rerun_of for run in later}


def _confirm(chosen: Any, act: Act, runs: Sequence[Any], *, yes: bool) -> None:
    from runner.cli.wording import moment, plural
    from runner.errors import UsageError

    if len(runs) < 2 or yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{act.verb} would act on {len(runs)} runs: say --yes if that is meant")
    for run in islice(runs, NAMED):
        what = f"{run.status}  {run.workflow} {run.version}  {moment(run.created_at_ms)}"
        chosen.screen.error([f"  {run.run_id}  {what}"])
    if len(runs) > NAMED:
        chosen.screen.error([f"  … and {len(runs) - NAMED} more"])
    if not click.confirm(f"{act.verb} {plural(len(runs), 'run')}?", err=True):
        chosen.screen.note("nothing was done")
        raise click.exceptions.Exit(1)


def _ask(client: Any, act: Act, run_id: str, patience_s: float) -> Result:
    from runner.errors import SagarunError, StoreUnavailable

    try:
        answer, started = act.ask(client, run_id, patience_s)
    except StoreUnavailable:
        raise
    except SagarunError as error:
        return Result(run_id, act.verb, "refused", str(error))
    return Result(run_id, act.verb, answer, started=started)


def _see_done(chosen: Any, act: Act, run_ids: Sequence[str], modules: Sequence[str]) -> int:
    """On the embedded server nobody may be there to do it, or stay there, so this command does."""
    from runner.cli.hosting.start import hosting

    with hosting(chosen, modules) as host:
        for run_id in run_ids:
            host.look_after(run_id)
        host.start()
        results = [_ask(host.reach.client, act, run_id, 5.0) for run_id in run_ids]
        for result in results:  # again: a stuck run was left to a person when this host began
            host.look_after(result.started or result.run_id)
        host.finish(quiet=True)
        for result in results:
            result.status = host.reach.client.stored(result.started or result.run_id).status
    return _tell(chosen, act, results)


def _tell(chosen: Any, act: Act, results: Sequence[Result]) -> int:
    if chosen.format == "json":
        chosen.screen.json([result.json() for result in results])
    for result in results:
        if chosen.format == "jsonl":
            chosen.screen.json(result.json())
        elif chosen.format == "text":
            chosen.screen.data(list(_line(result)))
    if not results:
        chosen.screen.note(f"there is no run to {act.verb}")
    return _code(results)


def _line(result: Result) -> Iterator[tuple[str, str]]:
    from runner.cli.wording import STATUS_STYLES

    refused = result.answer == "refused"
    yield ("✗ " if refused else "· "), "red" if refused else ""
    yield f"{result.verb} of run {result.run_id}: {result.why or result.answer}", ""
    if result.started:
        yield f", as run {result.started}", ""
    if result.status:
        yield "  ", ""
        yield result.status, STATUS_STYLES.get(result.status, "")


def _code(results: Sequence[Result]) -> int:
    from runner.cli.failure import EXIT_BY_STATUS, Exit

    if any(result.answer == "refused" for result in results):
        return Exit.NEGATIVE
    if any(result.status == "stuck" for result in results):
        return Exit.NEEDS_PERSON
    if any(result.answer == "asked" for result in results):
        return Exit.TIMED_OUT
    ended = {EXIT_BY_STATUS.get(result.status, Exit.DONE) for result in results if result.started}
    return Exit.NEGATIVE if ended - {Exit.DONE} else Exit.DONE
