"""Nothing new is begun: how that is passed on, down the tree.

Rule: a halt only ever becomes firmer (DRAIN, then CANCEL), and whoever is halted still comes to rest by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.interpreter import event as ev
from runner.interpreter.plan import StepPlan
from runner.interpreter.state import CANCEL, DRAIN, Node

Proposals = Sequence[ev.AnyEvent]


def pass_on(node: Node, below: Node, at_ms: int) -> Proposals:
    """To the one child that is on its way."""
    return (ev.HaltAsked(at_ms, below.path, node.halt == CANCEL),) if below.halt < node.halt else ()


def halt_of_children(node: Node, place: StepPlan) -> int:
    """How firmly the children are to be halted: as their parent is, or because one of them has settled the matter."""
    is_settled = node.winner if place.joins_any else node.faulted
    return max(node.halt, CANCEL if place.kills else DRAIN) if is_settled else node.halt


def pass_on_to_all(node: Node, level: int, at_ms: int) -> Proposals:
    """To children side by side, once for each level."""
    return (ev.ChildrenHalted(at_ms, node.path, level == CANCEL),) if node.active and level > node.told else ()
