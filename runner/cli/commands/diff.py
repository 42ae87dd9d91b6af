"""`sagarun diff`: what a definition does otherwise than before, and what that means for runs that are under way."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.failure import Exit
from runner.cli.options import shared_options

if TYPE_CHECKING:
    from runner.cli.checking.live_runs import Living
    from runner.cli.settings import Settings
    from runner.definition.changes import Change
    from runner.definition.model import Definition

_GIT = "git:"


@click.command(short_help="Say what a definition does otherwise than before.")
@click.argument("file", type=click.Path())
@click.option("--against", required=True, metavar="OLD", help="git:REF (git:main), a file, or - for standard input.")
@click.option("--offline", is_flag=True, help="Do not ask the server how many runs are under way.")
@click.option("--exit-code", "tells", is_flag=True, help="Exit code 1 for every change in behaviour.")
@shared_options
def command(file: str, against: str, offline: bool, tells: bool) -> int:
    """Compare FILE (or the definition of that name) with what it was, by what it does: steps, workers, inputs, undos,
    patience, conditions, order.

    Exit code 0: it does the same, or is a new version; 1: it does something else under the same version; 2: one of the
    two cannot be read. Runs that are under way keep the definition that they began with, and are counted.
    """
    from runner.cli.checking.live_runs import living_runs
    from runner.cli.checking.named import definition_file
    from runner.cli.settings import require_format, settings
    from runner.definition.changes import compare

    chosen = settings(Path(file))
    require_format(chosen.format, ("text", "json"))
    path = definition_file(file, chosen.project)
    new = _now(path, chosen)
    old = _before(path, against, chosen)
    changes = compare(old.document, new.document) if old is not None else []
    living = None if offline else living_runs(chosen, new.workflow)
    behaves = any(change.is_behaviour for change in changes)
    is_hidden = old is not None and behaves and (old.workflow, old.version) == (new.workflow, new.version)
    if chosen.format == "json":
        chosen.screen.json(_as_json(old, new, changes, living, is_hidden=is_hidden))
    else:
        _tell(chosen, path, against, old, new, changes)
        _tell_runs(chosen, old, new, living, is_changed=behaves)
        if is_hidden:
            chosen.screen.error([f"warning: the behaviour has changed, and version is still {new.version}: raise it"])
    return Exit.NEGATIVE if is_hidden or (tells and behaves) else Exit.DONE


def _now(file: Path, chosen: Settings) -> Definition:
    from runner.cli.checking.contracts import known_contracts
    from runner.definition.load import load

    return _readable(lambda: load(file, root=chosen.project.root, contracts=known_contracts(chosen.project)))


def _before(file: Path, against: str, chosen: Settings) -> Definition | None:
    """None: there was none. Raises UsageError."""
    from runner.cli.checking.contracts import known_contracts, lock_file, read_lock
    from runner.definition.load import examine, load
    from runner.errors import DefinitionError, UsageError

    root = chosen.project.root
    if against == "-":
        text = sys.stdin.read()

        def from_text() -> Definition:
            draft = examine(file, root=root, contracts=known_contracts(chosen.project), text=text)
            if draft.definition is None or not draft.is_sound:
                raise DefinitionError(draft.problems)
            return draft.definition

        return _readable(from_text)
    if not against.startswith(_GIT):
        path = Path(against)
        if not path.is_file():
            raise UsageError(f"there is no file {against}; a revision of git is written git:{against}")
        return _readable(lambda: load(path, root=root, contracts=known_contracts(chosen.project)))
    from runner.cli.checking.past import project_at

    revision = against.removeprefix(_GIT)
    with project_at(root, revision) as folder:
        then = folder / file.resolve().relative_to(root.resolve())
        if not then.is_file():
            return None
        locked = folder / lock_file(chosen.project).relative_to(root)
        contracts = read_lock(locked) if locked.is_file() else known_contracts(chosen.project)
        return _readable(lambda: load(then, root=folder, contracts=contracts), f" at {revision}", folder)


def _readable(read: Callable[[], Definition], when: str = "", folder: Path | None = None) -> Definition:
    """Raises UsageError: neither of the two is what this command is to check."""
    from runner.errors import DefinitionError, UsageError

    try:
        return read()
    except DefinitionError as error:
        problems = [str(problem).removeprefix(f"{folder}/") for problem in error.problems[:5]]
        raise UsageError("\n".join([f"the definition{when} cannot be read", *problems])) from error


def _tell(
    chosen: Settings, file: Path, against: str, old: Definition | None, new: Definition, changes: list[Change]
) -> None:
    from runner.cli.wording import plural

    screen = chosen.screen
    if old is None:
        screen.data(f"{new.workflow} {new.version} · {file} is not in {against}: all of it is new")
        return
    versions = new.version if old.version == new.version else f"{old.version} → {new.version}"
    name = new.workflow if old.workflow == new.workflow else f"{old.workflow} → {new.workflow}"
    screen.data([(f"{name} {versions}", "bold"), (f" · {file} against {against}", "dim")])
    width = max((len(change.step or "workflow") for change in changes), default=0)
    last = None
    for change in changes:
        subject = change.step or "workflow"
        shown = "" if subject == last and change.kind == "changed" else subject
        last = subject
        dim = "" if change.is_behaviour else "dim"
        screen.data([("  ", ""), _SYMBOLS[change.kind], (f" {shown:<{width}}  ", "bold"), (change.text, dim)])
    behaviour = sum(change.is_behaviour for change in changes)
    said = len(changes) - behaviour
    more = f"; {plural(said, 'change')} in what is only said" if said else ""
    screen.note(f"{plural(behaviour, 'change') if behaviour else 'no change'} in behaviour{more}")


_SYMBOLS = {
    "added": ("+", "green"), "removed": ("-", "red"), "moved": ("↕", "cyan"), "renamed": ("=", "cyan"),
    "changed": ("~", "yellow"),
}  # fmt: skip


def _tell_runs(
    chosen: Settings, old: Definition | None, new: Definition, living: Living | None, *, is_changed: bool
) -> None:
    """A run keeps the definition that it began with, whatever the file says by now."""
    screen = chosen.screen
    for line in living.lines(old, new) if living is not None else ():
        screen.data(line)
    if old is not None and is_changed:
        screen.note("Runs that are under way keep the definition that they began with, also to be undone and resumed;")
        screen.note("runs that start from now on take this one.")


def _as_json(
    old: Definition | None, new: Definition, changes: list[Change], living: Living | None, *, is_hidden: bool
) -> dict[str, Any]:
    def named(definition: Definition | None) -> dict[str, str] | None:
        if definition is None:
            return None
        return {"workflow": definition.workflow, "version": definition.version, "digest": definition.digest}

    return {
        "old": named(old), "new": named(new), "changes": [asdict(change) for change in changes],
        "behaviour_changed": any(change.is_behaviour for change in changes), "version_is_stale": is_hidden,
        "live_runs": None if living is None else living.counts,
    }  # fmt: skip
