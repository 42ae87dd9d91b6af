"""What the verbs share: ask something of a run, tell the answer, and, where this command hosts, see it done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runner.cli.access import Access, access, require_runs
from runner.cli.failure import Exit
from runner.cli.hosting.claims import Claims
from runner.cli.interruption import Stage
from runner.cli.settings import Settings, settings
from runner.cli.story.reading import read_events, read_view
from runner.cli.wording import line_text
from runner.client import Client
from runner.interpreter.verdict import Verdict

ANSWER_S = 5.0  # for an engine to judge what was asked
Ask = Callable[[Client, str], Verdict]
_WORDS = {
    "accepted": "accepted",
    "repeated": "it was sent before, under the same id; nothing was done",
    "held": "accepted; it waits until it is known whether the pivot took effect",
}


def ask_and_follow(run: str, verb: str, ask: Ask, modules: Sequence[str] = ()) -> int:
    """0: it is being done, or done. 3: the run is stuck (again). 5: nobody has answered yet."""
    stage = Stage("nothing was asked of the run")

    def asking(client: Client, run_id: str) -> Verdict:
        stage.words = f"{verb} was asked for: sagarun show {run_id} says what came of it"
        return ask(client, run_id)

    try:
        return _ask_and_follow(settings(), run, verb, asking, modules)
    except KeyboardInterrupt:
        return stage.tell()


def _ask_and_follow(chosen: Settings, run: str, verb: str, ask: Ask, modules: Sequence[str]) -> int:
    require_runs(chosen, run)
    with access(chosen) as reach:
        run_id = reach.client.find(run)
        if not reach.opened.is_embedded:
            return _tell(reach, run_id, verb, ask(reach.client, run_id))
        reach.client.check_applies(run_id, verb)
        told = len(read_events(reach.client, run_id))
        # An engine that lives answers sooner than one that has to be started here: by then a cancel may be too late.
        verdict = ask(reach.client, run_id) if reach.living("engine") else "asked"
        return _see_done(chosen, run_id, verb, ask, modules, verdict, told)


def send_signal(run: str, name: str, ask: Callable[[Client, str, float], Verdict], modules: Sequence[str] = ()) -> int:
    """Exit codes as above. On the embedded server, a run that nobody looks after is moved on, until it waits again.

    ask: gets the client, the run and how long to wait for the answer; asked again, it has to use the same signal id.
    """
    chosen = settings()
    require_runs(chosen, run)
    with access(chosen) as reach:
        run_id = reach.client.find(run)
        line = read_view(reach.client, run_id, ()).line
        if line is not None:
            verdict = ask(reach.client, run_id, 0.0)
            chosen.screen.note(f"· it is kept until the run begins: {line_text(line)}")
            return _tell_signal(reach, run_id, name, "accepted" if verdict == "asked" else verdict)
        told = len(read_events(reach.client, run_id))
        is_elsewhere = not reach.opened.is_embedded
        is_answered = is_elsewhere or bool(reach.living("engine"))
        verdict = ask(reach.client, run_id, ANSWER_S if is_answered else 0.0)
        is_moved = is_elsewhere or _is_looked_after(reach, run_id)
        if verdict == "repeated" or is_elsewhere or (is_moved and verdict != "asked"):
            return _tell_signal(reach, run_id, name, verdict)
    return _see_taken(chosen, run_id, name, ask, modules, verdict, told)


def _is_looked_after(reach: Access, run_id: str) -> bool:
    """Whether another command moves this run: a child is moved by who looks after the run that started it."""
    claims = Claims(reach.settings.project.state / "hosts")
    while run_id:
        if claims.is_taken(run_id):
            return True
        run_id = read_view(reach.client, run_id, ()).parent
    return False


def _see_taken(
    chosen: Settings, run_id: str, name: str, ask: Callable[[Client, str, float], Verdict], modules: Sequence[str],
    verdict: Verdict, told: int,
) -> int:  # fmt: skip
    from runner.cli.hosting.start import hosting

    with hosting(chosen, modules) as host:
        host.look_after(run_id)  # before it takes up what was left lying: this one it knows of
        host.start()
        if verdict == "asked":
            verdict = ask(host.reach.client, run_id, ANSWER_S)
            # It may have been taken between the two: then it is this very signal that was there before.
            verdict = "accepted" if verdict == "repeated" else verdict
        code = _tell_signal(host.reach, run_id, name, verdict)
        return host.accompany(run_id, skip=told) if code == Exit.DONE else code


def _tell_signal(reach: Access, run_id: str, name: str, verdict: Verdict) -> int:
    screen = reach.settings.screen
    if screen.format != "text":
        screen.json({"run_id": run_id, "verb": "signal", "signal": name, "answer": verdict})
    return _say(reach, run_id, f"signal {name}", verdict)


def _see_done(
    chosen: Settings, run_id: str, verb: str, ask: Ask, modules: Sequence[str], verdict: Verdict, told: int
) -> int:
    """On the embedded server nobody may be there to do it, or stay there, so this command does, and shows it."""
    from runner.cli.hosting.start import hosting

    with hosting(chosen, modules) as host:
        reach = host.reach
        host.look_after(run_id)  # before it takes up what was left lying: this one it knows of
        host.start()
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
    return _say(reach, run_id, verb, verdict)


def _say(reach: Access, run_id: str, verb: str, verdict: Verdict) -> int:
    screen = reach.settings.screen
    if verdict == "asked":
        there = bool(reach.living("engine"))
        why = "no engine has answered yet" if there else "no engine is running: start one with `sagarun engine`"
        screen.note(f"· {verb} of run {run_id} is asked for; {why}")
        return Exit.TIMED_OUT
    screen.story(f"· {verb} of run {run_id}: {_WORDS.get(verdict, verdict)}")
    return Exit.DONE
