"""The port for metrics and health beside an engine or worker process, where one is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from runner.cli.access import Access


@contextmanager
def endpoint(reach: Access, address: str, ready: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Nothing without an address. Raises ConfigError when it cannot be had. `ready`: see Endpoint."""
    if not address:
        yield
        return
    from runner import __version__
    from runner.monitor.endpoint import Endpoint

    with Endpoint(address, reach.client.store, version=__version__, ready=ready) as listening:
        reach.settings.screen.note(f"metrics on {listening.url}/metrics; health on /healthz and /readyz")
        yield
