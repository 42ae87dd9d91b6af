"""Words of other workflow languages, and what they are called here: for those who write from memory."""

from __future__ import annotations

from collections.abc import Container, Mapping

_WORDS: Mapping[str, tuple[str, ...]] = {
    # what a step does
    "call": ("worker",), "task": ("worker",), "action": ("worker",), "activity": ("worker",), "uses": ("worker",),
    "resource": ("worker",), "template": ("worker",), "activitytype": ("worker",), "activityname": ("worker",),
    "run": ("worker",), "function": ("worker",), "handler": ("worker",), "service": ("worker",),
    "do": ("steps",), "then": ("steps",), "tasks": ("steps",), "jobs": ("steps",), "states": ("steps",),
    "block": ("steps",), "group": ("steps",), "try": ("steps",), "body": ("steps",),
    "fork": ("parallel",), "concurrent": ("parallel",), "branch": ("branches", "parallel"), "all": ("parallel",),
    "for": ("for_each",), "foreach": ("for_each",), "each": ("for_each",), "map": ("for_each",),
    "with_items": ("for_each",), "withitems": ("for_each",), "withparam": ("for_each",),
    "loop": ("for_each", "repeat"), "while": ("repeat", "until"), "poll": ("repeat",),
    "items": ("in",), "over": ("in",), "list": ("in",), "var": ("as",), "item": ("as",), "times": ("max",),
    "max_rounds": ("max",), "max_concurrency": ("max_parallel", "limit"), "concurrency": ("max_parallel",),
    "choice": ("switch",), "choose": ("switch",), "cases": ("switch",), "branches": ("parallel", "switch"),
    "default": ("else",), "otherwise": ("else",),
    "sleep": ("wait",), "delay": ("wait",), "pause": ("wait",), "timer": ("wait",),
    "await": ("wait_for",), "signal": ("wait_for",), "event": ("signal", "wait_for"), "approve": ("wait_for",),
    "approval": ("wait_for",), "receive": ("wait_for",),
    "workflow": ("subworkflow",), "saga": ("subworkflow", "workflow"), "child": ("subworkflow",),
    "subflow": ("subworkflow",), "sub_workflow": ("subworkflow",),
    "assign": ("set",), "let": ("set",), "variables": ("set", "vars"),
    "raise": ("fail",), "throw": ("fail",), "error": ("fail",),
    # what belongs to it
    "name": ("id", "workflow", "signal"), "if": ("when",), "case": ("when",), "condition": ("when",),
    "only_if": ("when",), "unless": ("when",), "args": ("with",), "arguments": ("with",),
    "params": ("with",), "parameters": ("with",),
    "input": ("with",), "inputs": ("input", "with"),
    "outputs": ("output",), "result": ("output",), "return": ("output",),
    "rollback": ("compensate",), "undo": ("compensate",), "revert": ("compensate",), "cancel": ("compensate",),
    "starttoclosetimeout": ("timeout",), "timeoutseconds": ("timeout",), "timeout_seconds": ("timeout",),
    "heartbeattimeout": ("heartbeat",), "scheduletostarttimeout": ("queue_timeout",),
    "scheduletoclosetimeout": ("total_timeout",), "retrypolicy": ("retry",), "retry_policy": ("retry",),
    "maximumattempts": ("max_attempts",), "initialinterval": ("initial",), "maximuminterval": ("max",),
    "backoffcoefficient": ("multiplier",), "maxattempts": ("max_attempts",), "intervalseconds": ("initial",),
    "backoffrate": ("multiplier",),
    "retries": ("retry",), "attempts": ("max_attempts",), "code": ("error",), "on_error": ("catch",),
    "rescue": ("catch",),
    "except": ("catch",), "description": ("summary",), "doc": ("summary",), "comment": ("summary",),
    "commit": ("confirm",), "predicate": ("match",), "filter": ("match",), "key": ("idempotency_key",),
    "every": ("cron",), "tz": ("timezone",), "zone": ("timezone",), "crontab": ("schedule", "cron"),
}
_HABITS: Mapping[str, str] = {
    "depends_on": "steps run in the order of the file; branches of parallel run side by side",
    "dependencies": "steps run in the order of the file; branches of parallel run side by side",
    "dependson": "steps run in the order of the file; branches of parallel run side by side",
    "type": "a step is what its key says: worker, parallel, wait …",
    "needs": "steps run in the order of the file; branches of parallel run side by side",
    "next": "steps run in the order of the file; switch chooses between several",
    "end": "a sequence ends with its last step",
    "continue-on-error": "write on_failure: continue",
    "continueonerror": "write on_failure: continue",
    "ignore_errors": "write on_failure: continue",
    "goto": "steps run in the order of the file; repeat runs some of them again",
}


def word_for(word: str, known: Container[str]) -> str:
    """The key that means the same here, if it can stand in this place; else nothing."""
    return next((ours for ours in _WORDS.get(word.lower(), ()) if ours in known), "")


def habit(word: str) -> str:
    """What to do instead of what has no key here."""
    return _HABITS.get(word.lower(), "")
