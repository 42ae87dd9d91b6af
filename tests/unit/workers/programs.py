"""The sandbox gateway as tests start it: through its own command line, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.project.repository import ROOT
from tests.servers import PATIENCE_S


def gateway_program(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m workers.gateway …`, as a person would call it, to its end."""
    with begin_gateway_program(*arguments) as program:
        out, err = program.communicate(timeout=PATIENCE_S)
    return subprocess.CompletedProcess(program.args, program.returncode, out, err)


def begin_gateway_program(*arguments: str) -> subprocess.Popen[str]:
    """The same, without waiting for it."""
    return subprocess.Popen(
        [sys.executable, "-m", "workers.gateway", *arguments],
        cwd=ROOT,
        env=os.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
