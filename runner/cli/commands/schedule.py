"""`sagarun schedule`: which workflows start by the clock. An engine that stays (`sagarun engine`) starts them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from runner.cli.failure import did_you_mean
from runner.cli.options import shared_options
from runner.cli.parameters import workers_option
from runner.cli.verbs import Verbs

if TYPE_CHECKING:
    from runner.cli.access import Access
    from runner.cli.screen import Line
    from runner.cli.settings import Settings
    from runner.definition.model import Definition
    from runner.schedules import KeptSchedule, StoredSchedule


@click.group(cls=Verbs, short_help="Start workflows by the clock: add, list, pause, resume, remove.")
@shared_options
def command() -> None:
    """Say which workflows start by the clock, as their `schedule` says.

    They are started by `sagarun engine`, while one runs. After an outage only the latest missed time is made up for.
    """


@command.command("add", short_help="Start a workflow as its `schedule` says, from now on.")
@click.argument("file", type=click.Path())
@workers_option
@shared_options
def add(file: str, workers: tuple[str, ...]) -> None:
    """Start the workflow defined in FILE (or its name in definitions/) as its `schedule` says, from now on.

    The definition is kept as it is now: add it again after a change.
    """
    from runner.cli.access import access
    from runner.cli.settings import settings

    chosen = settings(None if file == "-" else Path(file))
    contracts = None
    if chosen.redis_url is None:
        from runner.cli.hosting.workshop import import_workers

        contracts = import_workers(chosen.project, workers).contracts()
    with access(chosen, contracts=contracts) as reach:
        schedule = _put(reach, _definition(file, chosen, reach))
        _tell([_kept(reach, schedule.workflow)], reach, one=True)
        if chosen.format == "text":
            chosen.screen.note("· the definition is kept as it is now; add it again after a change")
        if schedule.paused:
            chosen.screen.note(f"· it stays paused: sagarun schedule resume {schedule.workflow}")
        else:
            _say_who_starts(reach)


def _definition(file: str, chosen: Settings, reach: Access) -> Definition:
    from runner.cli.checking.named import definition_file
    from runner.cli.commands.run import load_definition

    return load_definition(definition_file(file, chosen.project), "", chosen, reach.client.contracts())


def _put(reach: Access, definition: Definition) -> StoredSchedule:
    from runner.definition.inputs import InputChecker
    from runner.errors import UsageError
    from runner.schedules import next_fire, schedule_of
    from runner.starting import caller

    client = reach.client
    if definition.schedule is None:
        raise UsageError(f"the workflow {definition.workflow} has no `schedule`: there is nothing to add")
    given = definition.schedule.input
    value = InputChecker(definition.input_schema).prepare({} if given is None and definition.input_schema else given)
    before = {kept.schedule.workflow: kept.schedule for kept in _all(reach)}.get(definition.workflow)
    paused = before is not None and before.paused
    schedule = schedule_of(definition, value, client.store.now_ms(), paused=paused, by=caller())
    try:
        never = next_fire(schedule, schedule.since_ms) is None
    except ValueError as error:
        raise UsageError(f"the schedule of {schedule.workflow} cannot be kept: {error}") from None
    if never:
        raise UsageError(f"{schedule.cron!r} is never due")
    client.catalogue.put(definition)
    client.store.put_schedule(schedule.workflow, msgspec.json.encode(schedule))
    return schedule


@command.command("list", short_help="List schedules: when they are due next, and what became of the last time.")
@shared_options
def list_() -> None:
    """List what starts by the clock: when it is due next, and what became of the last time. Reads only."""
    from runner.cli.access import access, has_runs
    from runner.cli.settings import settings

    chosen = settings()
    if not has_runs(chosen):
        _nothing(chosen)
        return
    with access(chosen) as reach:
        found = _all(reach)
        if not found:
            _nothing(chosen)
            return
        _tell(found, reach)
        _say_who_starts(reach)


@command.command("remove", short_help="Start a workflow by the clock no longer.")
@click.argument("workflow")
@shared_options
def remove(workflow: str) -> None:
    """Start WORKFLOW by the clock no longer. Runs that are under way go on."""
    _change(workflow, None, "removed")


@command.command("pause", short_help="Leave out what a schedule is due for, until it is resumed.")
@click.argument("workflow")
@shared_options
def pause(workflow: str) -> None:
    """Leave out what the schedule of WORKFLOW is due for, until it is resumed."""
    _change(workflow, True, "paused")


@command.command("resume", short_help="Let a paused schedule start runs again.")
@click.argument("workflow")
@shared_options
def resume(workflow: str) -> None:
    """Let the schedule of WORKFLOW start runs again. What was due while it was paused is not made up for."""
    _change(workflow, False, "resumed")


def _change(workflow: str, paused: bool | None, word: str) -> None:
    """`paused` None: it is removed."""
    from runner.cli.access import access, has_runs
    from runner.cli.settings import settings
    from runner.errors import UsageError

    chosen = settings()
    if not has_runs(chosen):
        raise UsageError(f"there is no schedule of {workflow!r}: nothing was ever run in {chosen.project.root}")
    with access(chosen) as reach:
        schedule = _kept(reach, workflow).schedule
        store = reach.client.store
        if paused is None:
            store.remove_schedule(workflow)
        elif paused != schedule.paused:
            since_ms = schedule.since_ms if paused else store.now_ms()
            changed = msgspec.structs.replace(schedule, paused=paused, since_ms=since_ms)
            store.put_schedule(workflow, msgspec.json.encode(changed))
        if chosen.format == "text":
            chosen.screen.note(f"· the schedule of {workflow} is {word}")
            if paused is not None:
                _tell([_kept(reach, workflow)], reach, one=True)
        elif paused is None:
            chosen.screen.json({"workflow": workflow, "removed": True})
        else:
            _tell([_kept(reach, workflow)], reach, one=True)
        if paused is False:
            _say_who_starts(reach)


# -- what there is ------------------------------------------------------------------------------------
def _all(reach: Access) -> list[KeptSchedule]:
    from runner.schedules import read_schedule

    found = []
    for row in reach.client.store.schedules():
        try:
            found.append(read_schedule(row))
        except msgspec.DecodeError as error:
            reach.settings.screen.note(f"! the schedule of {row.workflow} cannot be read, add it again: {error}")
    return found


def _kept(reach: Access, workflow: str) -> KeptSchedule:
    from runner.errors import UsageError

    found = {kept.schedule.workflow: kept for kept in _all(reach)}
    if workflow not in found:
        raise UsageError(f"there is no schedule of {workflow!r}.{did_you_mean(workflow, found)}")
    return found[workflow]


def _nothing(chosen: Settings) -> None:
    if chosen.format == "json":
        chosen.screen.json([])
    chosen.screen.note(f"no schedules in project {chosen.project.name}: sagarun schedule add FILE")


def _say_who_starts(reach: Access) -> None:
    if not reach.living("engine"):
        reach.settings.screen.note("! no engine is running, and nothing is started without: sagarun engine")


# -- as text and as JSON ------------------------------------------------------------------------------
def _tell(found: Sequence[KeptSchedule], reach: Access, *, one: bool = False) -> None:
    from runner.cli.wording import columns

    screen = reach.settings.screen
    now_ms = reach.client.store.now_ms()
    statuses = _statuses(found, reach)
    if screen.format == "text":
        for line in columns([_row(kept, statuses, now_ms) for kept in found]):
            screen.data(line)
        return
    documents = [_json(kept, statuses, now_ms) for kept in found]
    if screen.format == "jsonl" or one:
        for document in documents:
            screen.json(document)
    else:
        screen.json(documents)


def _statuses(found: Sequence[KeptSchedule], reach: Access) -> dict[str, str]:
    """Of the runs that were started last, by id; nothing of one that is not kept any more."""
    ids = [kept.last.run_id for kept in found if kept.last is not None and kept.last.run_id]
    stored = reach.client.store.load_runs(ids) if ids else []
    return {run.run_id: run.status or "pending" for run in stored if run is not None}


def _row(kept: KeptSchedule, statuses: dict[str, str], now_ms: int) -> Sequence[Line | str]:
    schedule = kept.schedule
    return (
        schedule.workflow, schedule.version, f"{schedule.cron} {schedule.timezone}", _next(kept, now_ms),
        _last(kept, statuses),
    )


def _next(kept: KeptSchedule, now_ms: int) -> Line | str:
    from runner.schedules import next_fire

    if kept.schedule.paused:
        return [("paused", "yellow")]
    at_ms = next_fire(kept.schedule, max(kept.after_ms, now_ms))
    return "never due again" if at_ms is None else f"next {_moment(kept.schedule, at_ms)}, in {_until(at_ms - now_ms)}"


def _last(kept: KeptSchedule, statuses: dict[str, str]) -> Line | str:
    from runner.cli.wording import STATUS_STYLES, duration

    last = kept.last
    if last is None:
        return ""
    about = [(f"last {_moment(kept.schedule, last.at_ms)}  ", "")]
    if last.outcome == "started":
        status = statuses.get(last.run_id, "not kept any more")
        about += [(f"{last.run_id} ", ""), (status, STATUS_STYLES.get(status, "dim"))]
    elif last.outcome == "skipped":
        about += [(f"skipped: {last.run_id} was under way", "yellow")]
    else:
        about += [(f"not started: {last.why}", "red")]
    late = [f"{duration(last.late_ms)} late"] if last.late_ms else []
    late += [f"{last.missed} before it missed"] if last.missed else []
    return [*about, (f"  {', '.join(late)}", "dim")] if late else about


def _json(kept: KeptSchedule, statuses: dict[str, str], now_ms: int) -> dict[str, Any]:
    from runner.schedules import next_fire

    schedule, last = kept
    document: dict[str, Any] = msgspec.to_builtins(schedule)
    next_ms = None if schedule.paused else next_fire(schedule, max(kept.after_ms, now_ms))
    document["next_at_ms"] = next_ms
    document["last"] = last and {**msgspec.to_builtins(last), "status": statuses.get(last.run_id, "")}
    return document


def _moment(schedule: StoredSchedule, at_ms: int) -> str:
    """In the schedule's own zone, which is what its cron expression is read in."""
    from datetime import datetime

    from runner.definition.cron import zone_of

    return datetime.fromtimestamp(at_ms / 1_000, zone_of(schedule.timezone)).strftime("%Y-%m-%d %H:%M %Z")


def _until(ms: int) -> str:
    from runner.cli.wording import duration, plural

    days = ms // 86_400_000
    return duration(ms) if days < 2 else plural(days, "day")
