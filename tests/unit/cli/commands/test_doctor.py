"""How `sagarun doctor` tells what it found."""

from __future__ import annotations

from runner.cli.commands.doctor import Finding, _line, _two
from runner.cli.screen import plain


def test_a_finding_is_one_line():
    assert plain(_line(Finding("queues", "ok", "empty"))) == "✓ queues      empty"


def test_what_a_server_said_stays_in_lines():
    """Its last words are a dozen lines; what to do about it stands in the last."""
    said = "it ended; its log ends with\n    one\n    two\nremove it"
    shown = plain(_line(Finding("server", "problem", *_two(said))))
    assert shown.splitlines() == [
        "✗ server      it ended; its log ends with",
        "              → one",
        "                two",
        "                remove it",
    ]
