"""`sagarun errors`: what goes wrong, by pattern: how often, since when, where; and what a person said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import click

from runner.cli.options import shared_options
from runner.cli.parameters import by_option, duration_ms, reason_option
from runner.cli.verbs import Verbs

if TYPE_CHECKING:
    from runner.cli.access import Access
    from runner.cli.screen import Line
    from runner.cli.settings import Settings
    from runner.monitor.patterns import ErrorGroup
    from runner.store.faults import FaultState

_BARS = " ▁▂▃▄▅▆▇█"


class ErrorVerbs(Verbs):
    """Without a word behind it, `errors` lists."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return click.Group.parse_args(self, ctx, args)


@click.group(
    cls=ErrorVerbs, invoke_without_command=True, short_help="What goes wrong, by pattern: list, show, resolve, ignore."
)
@click.option("--window", metavar="DURATION", callback=duration_ms, help="Only what was seen in it (1h to 7d).")
@click.option("--all", "whole", is_flag=True, help="Also groups that are resolved or ignored.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="How many at most.")
@shared_options
@click.pass_context
def command(context: click.Context, window: int | None, whole: bool, limit: int) -> None:
    """List the groups of errors that are open, the last seen first; each stands for one thing that goes wrong.

    What is the same is told by the project's own frames of the traceback, else by the code and the message without its
    data, or by a fingerprint that the error brings. `sagarun rerun --error ID` starts the runs again that one stopped.
    """
    if context.invoked_subcommand is not None:
        return
    from runner.cli.access import access, has_runs
    from runner.cli.settings import settings
    from runner.errors import UsageError
    from runner.monitor.patterns import MAX_WINDOW_MS

    if window is not None and not 0 < window <= MAX_WINDOW_MS:
        raise UsageError("--window: hours are counted for a week; say 1h to 7d")
    chosen = settings()
    groups: Sequence[ErrorGroup] = ()
    if has_runs(chosen):
        with access(chosen) as reach:
            groups = _read(reach, window or 0)
    listed = [group for group in groups if whole or group.state == "open"]
    _list(chosen, listed[:limit], len(groups) - len(listed))


def _read(reach: Access, window_ms: int = 0) -> list[ErrorGroup]:
    from runner.cli.archived import groups_of_both, with_archive
    from runner.monitor.patterns import HOUR_MS, error_groups

    store = reach.client.store
    now_ms = store.now_ms()
    since_ms = now_ms - window_ms - HOUR_MS if window_ms else 0
    there = store.fault_groups(since_ms=since_ms)
    groups = with_archive(
        reach.settings, lambda archive: groups_of_both(there, archive.errors(since_ms)) if archive else there,
        is_needed=False,
    )  # fmt: skip
    return error_groups(groups, now_ms, window_ms)


def _list(chosen: Settings, groups: Sequence[ErrorGroup], left_out: int) -> None:
    from runner.cli.wording import columns, plural

    screen = chosen.screen
    if chosen.format == "json":
        screen.json([_json(group) for group in groups])
        return
    for group in groups if chosen.format == "jsonl" else ():
        screen.json(_json(group))
    if chosen.format == "jsonl":
        return
    if groups:
        for line in columns([_HEADINGS, *map(_row, groups)]):
            screen.data(line)
    else:
        screen.note(f"no errors{' that are open' if left_out else ''} in project {chosen.project.name}")
    if left_out:
        screen.note(f"· {plural(left_out, 'group')} resolved or ignored: --all")


_HEADINGS: Sequence[Any] = tuple([(text, "dim")] for text in ("id", "count", "24 hours", "last seen", "where", "what"))


def _row(group: ErrorGroup) -> Sequence[Line | str]:
    from runner.cli.wording import moment

    steps = list(group.marks.get("step") or group.marks.get("workflow") or {"": 0})
    where = steps[0] + (f" +{len(steps) - 1}" if len(steps) > 1 else "")
    flags = "".join(f"[{flag}] " for flag in _flags(group))
    what: Line = [(flags, "bold red"), (group.title, "")]
    return group.short, str(group.in_window), bars(group.trend), moment(group.last_at_ms), where, what


def _flags(group: ErrorGroup) -> list[str]:
    marks = {"spike": group.is_spike, "regressed": bool(group.regressed_at_ms), "new": group.is_new}
    return [name for name, is_so in marks.items() if is_so] + ([group.state] if group.state != "open" else [])


def bars(trend: Sequence[int]) -> str:
    """▁▂█: each hour against the highest of them."""
    most = max(trend, default=0) or 1
    return "".join(_BARS[-(-count * 8 // most)] for count in trend)


def _json(group: ErrorGroup) -> dict[str, Any]:
    document = asdict(group)
    document["samples"] = [{"run_id": run_id, "at_ms": at_ms} for run_id, at_ms in group.samples]
    return document


@command.command("show", short_help="Show one group in full: where, how often by the hour, sample runs.")
@click.argument("id")
@shared_options
def show(id: str) -> None:
    """Show the group ID (or the beginning of it): where it happens, how often by the hour, which runs had it last."""
    chosen, reached = _open()
    with reached as reach:
        group = find(reach, id)
        if chosen.format != "text":
            chosen.screen.json(_json(group))
            return
        for line in _lines(group):
            chosen.screen.data(line)


def _lines(group: ErrorGroup) -> list[Line]:
    from runner.cli.wording import moment

    flags = "".join(f" [{flag}]" for flag in _flags(group))
    facts = [
        ("what", group.title), ("type", group.type), ("in", group.where), ("grouped", f"by {group.by}, {group.id}"),
        ("seen", f"{group.count} times, first {moment(group.first_at_ms)}, last {moment(group.last_at_ms)}"),
        ("24 hours", f"{bars(group.trend)}  {sum(group.trend)}"),
        ("regressed", moment(group.regressed_at_ms) if group.regressed_at_ms else ""),
        *((f"{kind}s", "  ".join(f"{name} ({count})" for name, count in counts.items()))
          for kind, counts in group.marks.items()),
        ("state", _state(group)),
    ]  # fmt: skip
    lines: list[Line] = [[(f"error group {group.short}", "bold"), (flags, "bold red")]]
    lines += [[(f"  {name:<10} ", "dim"), (text, "")] for name, text in facts if text]
    for number, (run_id, at_ms) in enumerate(group.samples):
        lines.append([("  runs       " if not number else " " * 13, "dim"), (f"{run_id}  {moment(at_ms)}", "")])
    change = "resolve" if group.state == "open" else "reopen"
    todo = f"sagarun rerun --error {group.short} | resume --error {group.short} | errors {change} {group.short}"
    return [*lines, [("  more       ", "dim"), (todo, "")]]


def _state(group: ErrorGroup) -> str:
    from runner.cli.wording import moment

    if not group.note:
        return group.state
    why = f": {group.note['reason']}" if group.note.get("reason") else ""
    was = group.note.get("state", group.state)
    told = f"{was} {moment(int(group.note.get('at_ms', 0)))} by {group.note.get('by', '')}{why}"
    return told if was == group.state else f"{group.state}; was {told}"


def find(reach: Access, id: str) -> ErrorGroup:
    """The one whose id begins so. Raises UsageError."""
    from runner.errors import UsageError

    wanted = id.strip().lower()
    groups = _read(reach) if wanted else []
    found = [each for each in groups if each.id.startswith(wanted) or each.id.partition(":")[2].startswith(wanted)]
    if not found:
        raise UsageError(f"there is no group of errors {id!r}; `sagarun errors --all` lists them")
    if len(found) > 1:
        raise UsageError(f"{id!r} is the beginning of several: {', '.join(group.short for group in found[:3])} …")
    return found[0]


def _open() -> tuple[Settings, Any]:
    from runner.cli.access import access, has_runs
    from runner.cli.settings import settings
    from runner.errors import UsageError

    chosen = settings()
    if not has_runs(chosen):
        raise UsageError(f"nothing was ever run in {chosen.project.root}")
    return chosen, access(chosen)


def _change(id: str, state: str, by: str, reason: str) -> None:
    import msgspec

    from runner.errors import UsageError
    from runner.starting import caller

    chosen, reached = _open()
    with reached as reach:
        group = find(reach, id)
        store = reach.client.store
        note = {"state": state, "by": by or caller(), "at_ms": store.now_ms(), "reason": reason}
        if not store.note_fault(group.id, cast("FaultState", state), msgspec.json.encode(note)):
            raise UsageError(f"the group of errors {id!r} is in the archive only: nothing can be said of it any more")
        if chosen.format == "text":
            chosen.screen.data(f"error group {group.short} is {state}: {group.title}")
        else:
            chosen.screen.json(_json(find(reach, group.id)))


def _settling(name: str, state: str, short_help: str, help: str) -> None:
    """Adds one of the commands that say what a person makes of a group."""

    @command.command(name, short_help=short_help, help=help)
    @click.argument("id")
    @reason_option
    @by_option
    @shared_options
    def change(id: str, reason: str, by: str) -> None:
        _change(id, state, by, reason)


_settling("resolve", "resolved", "Say that it is mended; if it comes back, it has regressed.",
          "Say that what the group ID stands for is mended. Seen again, it is open again, and marked [regressed].")
_settling("ignore", "ignored", "Count it on, and list it no longer.",
          "Go on counting the group ID, and list it no longer.")
_settling("reopen", "open", "List it again.", "List the group ID again, after it was resolved or ignored.")
