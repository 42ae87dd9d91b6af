"""An interrupt while the command itself is still being imported."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# The first import behind the entry is interrupted, as by a person who is quick.
PROGRAM = """
import os, signal, sys

class Quick:
    def find_spec(self, name, *_):
        if name == "runner.cli.main":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Quick())
sys.argv = ["sagarun", "--version"]
from runner.cli.entry import main
main()
"""


@pytest.mark.parametrize(("before", "code", "out"), [(signal.SIG_DFL, 130, ""), (signal.SIG_IGN, 0, "sagarun ")])
def test_an_interrupt_before_anything_began_ends_without_a_word(before: signal.Handlers, code: int, out: str):
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, before),
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (code, "")
    assert ended.stdout.startswith(out)
