"""The Celery side: a chain of five tasks, in a virtual environment that is made for it once and kept.

The fastest of the seven settings that were tried: two solo workers, no results, a prefetch of 64, none of the chatter
between workers. It is at-most-once: a task is acknowledged before it runs. What it is compared with is not.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

from contest.contender import Command, Side
from contest.server import Server

REQUIREMENTS = ("celery[redis]==5.7.0", "kombu==5.7.0", "redis==8.1.0", "hiredis==3.5.0")
HERE = Path(__file__).resolve().parents[1]
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")


def environment(rebuild: bool = False) -> Path:
    """The interpreter of a virtual environment that holds Celery; made on first use, under the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sagarun" / "benchmarks"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache / f"celery-python{version}"
    python = folder / "bin" / "python"
    complete = folder / ".complete"  # written last: an interrupted installation is begun again
    wanted = "\n".join(REQUIREMENTS)
    if rebuild or not complete.exists() or complete.read_text() != wanted:
        print(f"installing {', '.join(REQUIREMENTS)} in {folder}", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True, stdin=subprocess.DEVNULL)
        complete.write_text(wanted)
    return python


def side(server: Server, python: Path) -> Side:
    worker = [str(python), "-m", "celery", "-A", "tasks", "worker", "-P", "solo", "-l", "ERROR", *QUIET]
    return Side(
        name="celery",
        folder=HERE / "celery_chain",
        environment={"PYTHONPATH": str(HERE), "CELERY_BROKER": f"{server.url}/0", "PYTHONDONTWRITEBYTECODE": "1"},
        processes=[Command("workers", [*worker, "-n", f"bench{number}"]) for number in (1, 2)],
        submitter=[str(python), "submit.py"],
    )
