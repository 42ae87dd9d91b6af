"""What the verbs share: ask something of a run, tell the answer, and, where this command hosts, see it done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runner.cli.access import Access, access, require_runs
from runner.cli.failure import Exit
from runner.cli.settings import Settings, settings
from runner.client import Client
from runner.interpreter.verdict import Verdict

Ask = Callable[[Client, str], Verdict]
_WORDS = {"accepted": "accepted", "held": "accepted; it waits until it is known whether the pivot took effect"}


def ask_and_follow(run: str, verb: str, ask: Ask, modules: Sequence[str] = ()) -> int:
    """0: it is being done, or done. 3: the run is stuck (again). 5: nobody has answered yet."""
    chosen = settings()
    require_runs(chosen, run)
    with access(chosen) as reach:
        run_id = reach.client.find(run)
        if not reach.opened.is_embedded:
            return _tell(reach, run_id, verb, ask(reach.client, run_id))
        reach.client.check_applies(run_id, verb)
        told = len(reach.client.store.history(run_id))
        # An engine that lives answers sooner than one that has to be started here: by then a cancel may be too late.
        verdict = ask(reach.client, run_id) if reach.living("engine") else "asked"
        return _see_done(chosen, run_id, verb, ask, modules, verdict, told)


def _see_done(
    chosen: Settings, run_id: str, verb: str, ask: Ask, modules: Sequence[str], verdict: Verdict, told: int
) -> int:
    """On the embedded server nobody may be there to do it, or stay there, so this command does, and shows it."""
    from runner.cli.hosting import hosting

    with hosting(chosen, modules) as host:
        reach = host.reach
        host.start()
        host.look_after(run_id)
        if verdict == "asked":
            verdict = ask(reach.client, run_id)
        code = _tell(reach, run_id, verb, verdict)
        if code == Exit.DONE:
            code = host.follow(run_id, skip=told)
            if code != Exit.INTERRUPTED:
                # What was asked for is done, whatever the run ended as; unless a person is needed again.
                code = Exit.NEEDS_PERSON if reach.client.stored(run_id).status == "stuck" else Exit.DONE
        return code


def _tell(reach: Access, run_id: str, verb: str, verdict: Verdict) -> int:
    screen = reach.settings.screen
    if screen.format != "text" and not reach.opened.is_embedded:
        screen.json({"run_id": run_id, "verb": verb, "answer": verdict})
    if verdict == "asked":
        there = bool(reach.living("engine"))
        why = "no engine has answered yet" if there else "no engine is running: start one with `sagarun engine`"
        screen.note(f"· {verb} of run {run_id} is asked for; {why}")
        return Exit.TIMED_OUT
    screen.story(f"· {verb} of run {run_id}: {_WORDS.get(verdict, verdict)}")
    return Exit.DONE
