"""Why a mutant survives: what is right about it, as far as its file can say. One without a reason is a defect."""

from __future__ import annotations

import re

from tests.mutation.survey import Verdict

_REASONS: tuple[tuple[str, str, str], ...] = (  # operator, what was done (a regular expression), why that is no mistake
    (
        "refer to another step", r".*",
        "the other step returns a member of that name and type too, and is sure to have run: which one is meant, "
        "only the author knows",
    ),
    (
        "make a condition none", r".*: only ",
        "what is left is true or false itself: the condition is turned round (`not x` became `x`)",
    ),
    (
        "swap arguments", r"score: order ↔ address",
        "the worker takes a mapping for either; which members it needs is compared with the input only when it runs",
    ),
    (
        "swap arguments", r".*",
        "both are texts, and neither name tells what it is given: `about` is any text, `template` any name",
    ),
    ("drop a confirmation", r".*", "no other step asks that worker, so nothing says that it has to be confirmed"),
    (
        "change on_unknown", r".*: compensate$",
        "to undo what nobody knows the outcome of is a policy of its own; verify is asked between the attempts then",
    ),
    (
        "change on_unknown", r".*: no on_unknown",
        "without it the run halts and waits for a person, which is the careful default of compensate: none",
    ),
    ("drop a handler", r".*", "without it the failure undoes the run, which is what a failure does everywhere else"),
    (
        "shorten a time", r".*patient\.initial",
        "twelve attempts that begin with a millisecond still end with seconds between them",
    ),
    ("shorten a time", r".*wait_for", "three minutes for a signal is a time that can be meant"),
    ("lengthen a time", r"^timeout", "no run can have too much time"),
    ("lengthen a time", r".*", "the run, or the undo, has room for it; or there is no limit to compare"),
    (
        "reorder steps", r".*",
        "neither step reads the other, and both can be undone or tried on where they stand now: either order is a saga",
    ),
    (
        "drop a step", r".*",
        "nothing reads the step, no name is left over and no rule asks for it: a smaller saga is one too",
    ),
    ("drop a condition", r".*", "the step can always be done; that it should not be, only the condition said"),
)


def reason_of(verdict: Verdict) -> str:
    """Empty where none is known."""
    for operator, what, why in _REASONS:
        if verdict.mutant.operator == operator and re.match(what, verdict.mutant.what):
            return why
    return ""
