"""Which failures the handlers around a step are sure to take."""

from __future__ import annotations

from runner.definition.model import LoopAction
from runner.lint.outline import Outline, Site

_KINDS = {"business", "technical"}


def is_caught(outline: Outline, site: Site, code: str) -> bool:
    """Whether something takes this error of the step, whatever the conditions of handlers say."""
    wanted = {code, "technical" if code == "signal_timeout" else "business", "any"}
    for around in outline.around(site):
        if any(handler.catch.when is None and wanted & set(handler.catch.errors) for handler in around.handlers):
            return True
        action = around.step.action
        if around is not site and isinstance(action, LoopAction) and action.on_item_failure == "collect":
            return True
    return False


def catches_all(site: Site) -> bool:
    """Whether any failure inside is caught and undone, whatever the conditions of its handlers say."""
    caught: set[str] = set()
    for handler in site.handlers:
        if handler.catch.when is None:
            if not handler.catch.undo and {"any", *_KINDS} & set(handler.catch.errors):
                return False
            caught.update(handler.catch.errors)
    return "any" in caught or caught >= _KINDS
