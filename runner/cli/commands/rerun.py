"""`sagarun rerun`: start a run again, with the same definition and input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from runner.cli.interruption import Stage
from runner.cli.many import Act, act_on_many, error_option, of_group, one_run, query_options
from runner.cli.options import shared_options
from runner.cli.parameters import by_option, duration_ms, reason_option, workers_option

if TYPE_CHECKING:
    from runner.client import Client, RunHandle
    from runner.selection import RunInfo
    from runner.store.ports import StoredRun


@click.command(short_help="Start a run again, with the same input.")
@click.argument("run", required=False)
@query_options
@error_option
@click.option("--wait", metavar="DURATION", callback=duration_ms, help="Not longer than this (60s); then exit code 5.")
@reason_option
@by_option
@workers_option
@shared_options
def command(
    run: str | None, query: str | None, yes: bool, group: str | None, wait: int | None, reason: str, by: str,
    workers: tuple[str, ...],
) -> int:
    """Start a new run with the definition and the input of RUN, which must be over. Its key gets a number (KEY~2).

    Asked once more, it starts one more (KEY~3), and says so where the one before completed or is under way.

    With --query or --error: of all those runs that are over, but for children, and for those that were run again
    already. Then they are only waited for where this command has to host them.
    """
    one = one_run(run, query, group)
    if one is None:
        act = Act("rerun", lambda client, id, _wait_s: _again(client, id, reason, by), roots_only=True, once=True)
        return act_on_many(act, of_group(query, group, "status:failed -status:stuck"), workers, yes=yes)
    stage = Stage("nothing was started")

    def again(client: Client, run_id: str) -> RunHandle:
        stage.words = "it was being started; sagarun list says whether it was"
        handle = client.rerun(run_id, reason=reason, by=by)
        stage.words = f"it was started, as run {handle.id}: sagarun watch {handle.id}"
        return handle

    try:
        return _rerun(one, again, wait, workers)
    except KeyboardInterrupt:
        return stage.tell()


def _rerun(one: str, again: Callable[[Client, str], RunHandle], wait: int | None, workers: Sequence[str]) -> int:
    from runner.cli.access import access, require_runs
    from runner.cli.hosting.start import hosting
    from runner.cli.settings import settings
    from runner.cli.story.elsewhere import follow_elsewhere

    chosen = settings()
    require_runs(chosen, one)
    with access(chosen) as reach:
        run_id = reach.client.find(one)
        reach.client.check_applies(run_id, "rerun")
        before, earlier = reach.client.stored(run_id), earlier_rerun(reach.client, run_id)
        if not reach.opened.is_embedded:
            handle = again(reach.client, run_id)
            chosen.screen.story(announced(handle.id, before, earlier))
            return follow_elsewhere(reach, handle.id, wait)
        with hosting(chosen, workers) as host:
            host.start()
            handle = again(host.reach.client, run_id)
            host.look_after(handle.id)
            chosen.screen.story(announced(handle.id, before, earlier))
            return host.follow(handle.id, wait)


def announced(run_id: str, before: StoredRun, earlier: RunInfo | None = None) -> str:
    """Nobody reruns by accident what completed, or what was run again and is done or under way, and does not notice."""
    again = ", which completed: its work is done a second time" if before.status == "completed" else ""
    if not again and earlier is not None:
        became = "completed: its work" if earlier.status == "completed" else f"is {earlier.status}: what that one does"
        again = f", which was run again before: run {earlier.run_id} {became} is done a second time"
    return f"▶ run {run_id}, a rerun of {before.run_id}{again}"


def earlier_rerun(client: Client, run_id: str) -> RunInfo | None:
    """The latest rerun of this run that completed, or may."""
    found = client.list(f"rerun_of:{run_id} status:completed,live", limit=1)
    return found[0] if found else None


def _again(client: Any, run_id: str, reason: str, by: str) -> tuple[str, str]:
    return "started", client.rerun(run_id, reason=reason, by=by).id
