"""What each test token makes the sandbox do, like the test cards of a real gateway.

A token only steers; it never changes what an answer means. Nothing else in the sandbox fails on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a charge with this token goes."""

    declined: str = ""  # why the bank says no; empty: it says yes
    declined_once: str = ""  # the same, but only for the first charge of a reference
    # The first request gets no answer: after the charge, before it, or after the capture of what was set aside.
    silent: Literal["", "charged", "lost", "captured"] = ""
    unavailable: bool = False  # 503, always before the ledger is opened
    refund_refused: bool = False  # the first refund waits for a person


_VALID = Behaviour()
_DECLINED = Behaviour(declined="insufficient funds")
_UNKNOWN = Behaviour(declined="no such token; a sandbox knows test tokens only")

_BEHAVIOURS = {
    "tok_valid": _VALID,
    "tok_valid_card": _VALID,
    "tok_valid_paypal": _VALID,
    "tok_declined": _DECLINED,
    "tok_invalid_card": _DECLINED,
    "tok_short_of_funds": Behaviour(declined_once="insufficient funds"),
    "tok_no_answer_charged": Behaviour(silent="charged"),
    "tok_no_answer_lost": Behaviour(silent="lost"),
    "tok_no_answer_captured": Behaviour(silent="captured"),
    "tok_unavailable": Behaviour(unavailable=True),
    "tok_refund_refused": Behaviour(refund_refused=True),
}


def behaviour(token: str) -> Behaviour:
    """How the sandbox treats this token; one that it does not know is declined."""
    return _BEHAVIOURS.get(token, _UNKNOWN)
