"""The names that an expression reads: whether they are in scope there, and have the member that is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runner.definition.complaint import did_you_mean
from runner.definition.finding import Finding, shown
from runner.definition.model import LoopAction
from runner.expression.evaluate import Reference
from runner.lint.reading import Text
from runner.lint.rule import Rule, Subject, at_segment

_MEMBERS: Mapping[str, tuple[str, ...]] = {
    "run": ("id", "workflow", "version", "started_at"),
    "step": ("ref", "id"),
    "error": ("code", "kind", "message", "details", "step", "attempt", "cause"),
}
_OF_STEP = ("output", "status", "error")
_ALL = ("input", "steps", "vars", "run", "step", "error", "result")


_ELSEWHERE: Mapping[str, str] = {
    "null": 'did you mean "none"?',
    "secrets": "a header of http.request takes {secret: NAME}; a worker reads its own",
    "env": "a worker reads its own environment; what a run needs of it belongs into the input",
}


def _unknown_names(subject: Subject) -> Iterator[Finding]:
    actions = ((site.step.id, site.step.action) for site in subject.outline.sites)
    items = {action.as_: step_id for step_id, action in actions if isinstance(action, LoopAction)}
    for text, reference in subject.references():
        name = str(reference.path[0])
        if name in text.names:
            yield from _unknown_member(text, reference)
        elif name == "result":
            where = "a verification" if text.part == "verify" else "this expression"
            message = f'{where} cannot read "result": there is none here'
            hint = "it is in scope in the step's own output, compensate and confirm, and in match and until"
            yield at_segment("SR207", text, reference, 0, message, hint)
        elif name == "error":
            message = '"error" can be read in catch and finally only'
            yield at_segment("SR208", text, reference, 0, message)
        elif name in _ALL:
            in_scope = ", ".join(sorted(text.names))
            message = f'"{name}" cannot be read here'
            yield at_segment("SR205", text, reference, 0, message, f"in scope: {in_scope}")
        elif name in items:
            message = f'"{name}" is the item of "{items[name]}": it can be read inside of that for_each only'
            yield at_segment("SR205", text, reference, 0, message)
        else:
            message = f"there is no name {shown(name)}"
            hint = did_you_mean(name, text.names) or f"in scope: {', '.join(sorted(text.names))}"
            hint = _ELSEWHERE.get(name, hint)
            if name in text.view.visible:
                hint = f"write steps.{name}.output"
            yield at_segment("SR205", text, reference, 0, message, hint, text.names)


def _unknown_member(text: Text, reference: Reference) -> Iterator[Finding]:
    path = reference.path
    if path[0] == "steps" and len(path) > 2 and path[2] not in _OF_STEP:
        hint = did_you_mean(str(path[2]), _OF_STEP) or f"write steps.{path[1]}.output.{path[2]}"
        yield at_segment("SR205", text, reference, 2, f"a step has no {shown(path[2])}", hint, _OF_STEP)
    elif path[0] in _MEMBERS and len(path) > 1:
        name, member = str(path[0]), path[1]
        in_finally = text.site is not None and text.site.in_finally
        if name == "run" and member == "status":
            if not in_finally:
                yield at_segment("SR205", text, reference, 1, "run.status can be read in finally only")
        elif member not in _MEMBERS[name]:
            known = _MEMBERS[name] + (("status",) if name == "run" and in_finally else ())
            hint = did_you_mean(str(member), known) or f"it has {', '.join(known)}"
            yield at_segment("SR205", text, reference, 1, f'"{name}" has no {shown(member)}', hint, known)


RULES = (
    Rule(
        {
            "SR205": "An unknown name in an expression",
            "SR207": "result is read where there is none",
            "SR208": "error is read where there is none",
        },
        _unknown_names,
    ),
)
