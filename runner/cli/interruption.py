"""What somebody who interrupts a command is told: whether that for which it was given has been asked for.

Money may hang on it, and nobody can see it from outside. What follows a run tells more, and does not come by here.
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.cli.failure import Exit
from runner.cli.options import flags
from runner.cli.screen import Screen


@dataclass(slots=True)
class Stage:
    """How far a command came, in words; changed before every step after which they would not be true."""

    words: str

    def tell(self) -> Exit:
        screen = Screen(quiet=flags().quiet)
        if screen.is_terminal("stderr"):
            screen.note("")  # below the ^C
        screen.note(f"interrupted; {self.words}")
        return Exit.INTERRUPTED
