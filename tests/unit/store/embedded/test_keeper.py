"""The keeper without a server. Its life with one: tests/integration/test_embedded.py."""

from __future__ import annotations

import subprocess
import sys

from tests.project.repository import ROOT


def test_the_keeper_needs_no_installed_package():
    """It is started without site-packages, to be there in milliseconds."""
    code = "import runner.store.embedded.keeper, sys; sys.exit('site' in sys.modules)"
    subprocess.run([sys.executable, "-S", "-P", "-c", code], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=True)
