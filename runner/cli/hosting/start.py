"""Starts a host so that nothing waits for anything: server first, then the workers' child, then our own imports.

Rule: this module and what it imports at its top stay light (no jinja2, no jsonschema, no rich): the child imports the
project's code on one core while this process imports the engine on another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runner.cli.hosting.tracing import inherit_trace
from runner.cli.hosting.workshop import Crew
from runner.cli.opened import opened_store
from runner.cli.settings import Settings

if TYPE_CHECKING:
    from runner.cli.hosting.host import Host


@contextmanager
def hosting(
    settings: Settings, modules: Sequence[str] = (), *, children: int = 1, schedules: bool = False, console: str = ""
) -> Iterator[Host]:
    """A host on the embedded server, not started yet: see Host.start. Raises StoreError, ConfigError.

    schedules: it also starts what they are due for; not for a command that was asked for something else.
    console: see write_log.
    """
    settings.open_log(console=console)
    with (
        opened_store(settings) as opened,
        Crew(settings.project, opened, modules, children=children, console=console) as crew,
    ):
        from runner.cli.access import Access
        from runner.cli.hosting.host import Host
        from runner.client import Client

        inherit_trace()
        client = Client(root=settings.project.root, store=opened.store)
        with Host(Access(settings, opened, client), crew, schedules=schedules) as host:
            yield host
