"""Following a run whose engines and workers run elsewhere: and saying so when they do not."""

from __future__ import annotations

from runner.cli.access import Access
from runner.cli.failure import Exit
from runner.cli.story.ending import conclude, interrupted, timed_out
from runner.cli.story.follow import Follower
from runner.monitor.shapes import RunView

_NOT_HERE = "no worker of this project does; the run goes on when one is back"
PATIENCE_MS = 2_000  # a task that waits for so long probably has nobody to take it


def follow_elsewhere(reach: Access, run_id: str, wait_ms: int | None) -> int:
    """To the end of the run, or of the wait; the exit code."""
    screen = reach.settings.screen
    missing = Missing(reach)
    # An embedded server is only there while somebody uses it: that nobody moves the run is plain at once.
    if reach.opened.is_embedded and not reach.living("engine"):
        stored = reach.client.stored(run_id)
        if not stored.terminal and stored.status != "stuck":
            missing.say_no_engine()
    follower = Follower(reach.client, run_id, screen, recover=reach.recover, look=missing.look)
    try:
        view = follower.follow(None if wait_ms is None else wait_ms / 1_000)
    except KeyboardInterrupt:
        interrupted(screen, run_id)
        return Exit.INTERRUPTED
    return timed_out(screen, run_id) if view is None else conclude(screen, view)


class Missing:
    """Says, once for each thing, that nobody does what the run waits for."""

    def __init__(self, reach: Access, *, hosts: bool = False) -> None:
        """hosts: the engine is here."""
        self._reach = reach
        self._hosts = hosts
        self._said: set[str] = set()

    def look(self, view: RunView) -> None:
        """At the run, and at those below it that are followed."""
        self._look(view)
        for child in view.children.values():
            self.look(child)

    def _look(self, view: RunView) -> None:
        store = self._reach.client.store
        stored = store.load_runs([view.run_id])[0]
        if stored is None:
            return
        now_ms = store.now_ms()
        waits = bool(stored.entries) and now_ms - stored.entries[0].at_ms > PATIENCE_MS
        if waits and not self._hosts and not self._reach.living("engine"):
            self.say_no_engine()
        queued = [task for task in stored.tasks.values() if task.state == "Q"]
        late = {task.queue for task in queued if now_ms - task.queued_at_ms > PATIENCE_MS}
        if not late - self._said:
            return
        served = {queue for process in self._reach.living("worker") for queue in process.queues}
        for queue in sorted(late - served):
            advice = "start `sagarun worker` where its worker is"
            self._say(queue, f"nobody serves the queue {queue}: {_NOT_HERE if self._hosts else advice}")

    def say_no_engine(self) -> None:
        self._say("engine", "no engine is running on this server: start one with `sagarun engine`")

    def _say(self, about: str, text: str) -> None:
        if about not in self._said:
            self._said.add(about)
            self._reach.settings.screen.note(f"! {text}")
