"""`steps.<id>.output` of a step that may not have run: used, it fails the run, so the expression provides for that."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.finding import Finding
from runner.definition.model import LoopAction, ParallelAction, RepeatAction, SignalAction, SwitchAction, WaitAction
from runner.expression.evaluate import Reference
from runner.lint.outline import Site
from runner.lint.reading import Text
from runner.lint.rule import Rule, Subject, at_segment


def _uncertain_outputs(subject: Subject) -> Iterator[Finding]:
    for text, reference in subject.references():
        path = reference.path
        if path[0] != "steps" or len(path) < 3 or path[2] != "output" or reference.guarded:
            continue
        step_id = str(path[1])
        target = subject.outline.by_id.get(step_id)
        if target is None or step_id not in text.view.visible:
            continue  # found on its own
        branch = _uncertain_branch(text, target, reference)
        if branch:
            message = f'the branch "{branch}" of "{step_id}" may give no output: {written(reference, 4)} may be absent'
            hint = f"use default(), or test it: {written(reference, 4)} is defined"
            yield at_segment("SR215", text, reference, 3, message, hint)
        elif not subject.outline.is_there(text.view, reference):
            message = f"{_why(subject, text, target)}: steps.{step_id}.output may be absent"
            hint = f"use default(), or test it: steps.{step_id}.output is defined"
            yield at_segment("SR215", text, reference, 1, message, hint)


def written(reference: Reference, count: int) -> str:
    return ".".join(str(part) for part in reference.path[:count])


def _uncertain_branch(text: Text, target: Site, reference: Reference) -> str:
    """The branch of a parallel whose output is read, if it may have none and nobody has tested that."""
    action = target.step.action
    if not isinstance(action, ParallelAction) or target.step.output is not None or target.handlers:
        return ""
    if len(reference.path) < 4:
        return ""
    name = str(reference.path[3])
    arm = next((arm for arm in target.arms if arm.name == name), None)
    if arm is None or (arm.has_output and (action.join == "all" or len(target.arms) == 1)):
        return ""
    known = text.view.known | reference.known
    return "" if any(fact[:4] == reference.path[:4] for fact in known) else name


def _why(subject: Subject, text: Text, target: Site) -> str:
    """The reason that is nearest to the step."""
    step_id, action = target.step.id, target.step.action
    if isinstance(action, WaitAction) and target.step.output is None:
        return f'"{step_id}" only waits'
    if isinstance(action, SignalAction) and action.on_timeout is None:
        return f'no signal may come for "{step_id}"'
    if isinstance(action, SwitchAction) and not action.has_else:
        return f'"{step_id}" has no else'
    if target.step.when is not None:
        return f'"{step_id}" may be skipped'
    if "on_failure" in target.raw:
        return f'"{step_id}" may have failed'
    if text.pointer.startswith(f"{target.pointer}/catch/"):
        return f'"{step_id}" has failed where its catch begins'
    if target.handlers:
        return f'the catch of "{step_id}" may have no output'
    for around in subject.outline.everything_around(target):
        if text.site is not None and around in (text.site, *subject.outline.everything_around(text.site)):
            break  # what is around both does not come between them
        reason = _reason_of(around)
        if reason:
            return f'"{step_id}" is in "{around.step.id}", {reason}'
    if text.site is not None and text.site.in_finally:
        return f'finally runs after a failure too, and "{step_id}" may not have run'
    if text.site is not None and text.site.in_handler:
        return f'"{step_id}" may not have run when its scope failed, or is undone'
    if target.arms and not isinstance(action, (ParallelAction, LoopAction)):
        what = "round" if isinstance(action, RepeatAction) else "case" if isinstance(action, SwitchAction) else "block"
        return f'the last step of a {what} of "{step_id}" may have no output'
    return f'"{step_id}" may not have run'


def _reason_of(around: Site) -> str:
    action = around.step.action
    if isinstance(action, SwitchAction):
        return "of which one case is chosen"
    if isinstance(action, ParallelAction) and action.join == "any":
        return "of which one branch wins"
    if around.step.when is not None:
        return "which may be skipped"
    return "whose failure may be caught" if around.handlers else ""


RULES = (Rule({"SR215": "The output of a step that may not have run, used without default()"}, _uncertain_outputs),)
