"""What the project grants to the workers that come with sagarun: hosts and secrets. Nothing, until it is said.

The command line hands over what sagarun.yaml says, in every child before it imports the project's workers. Whoever runs
a WorkerProcess without the command line calls `grant` in a module of theirs.
"""

from __future__ import annotations

from functools import cached_property

import msgspec

from runner.worker.http.hosts import Hosts
from runner.worker.secret import SecretSource


class Grants(msgspec.Struct, frozen=True, dict=True):
    """`root` is the project's folder, which paths are relative to."""

    root: str = "."
    allow: tuple[str, ...] = ()
    proxy: str = ""  # "": none, whatever the environment says
    ca_file: str = ""  # of authorities that are trusted beside the machine's own
    secrets: dict[str, SecretSource] = {}

    @cached_property
    def hosts(self) -> Hosts:
        return Hosts(self.allow)


_granted = Grants()


def grant(grants: Grants) -> None:
    """From now on, in this process. Raises ConfigError for a host that is none."""
    global _granted
    _ = grants.hosts
    _granted = grants


def granted() -> Grants:
    return _granted
