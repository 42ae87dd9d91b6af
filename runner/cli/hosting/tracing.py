"""The export of traces as a command sets it up: from the environment, for the runs of one store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from runner import __version__
from runner.definition.project import Project
from runner.errors import ConfigError
from runner.store.ports import Store

if TYPE_CHECKING:
    from runner.monitor.otel import TraceExport

TRACEPARENT = "TRACEPARENT"  # by which programs hand their trace on to those they start


def inherit_trace() -> None:
    """What this command starts is part of the trace that its caller gave it."""
    from runner.starting import inherit_trace as inherit

    inherit(os.environ.get(TRACEPARENT, ""))


def trace_export(project: Project, store: Store) -> TraceExport | None:
    """None: the environment names no collector. Raises ConfigError where it does, and that cannot be had."""
    if not any(name.startswith("OTEL_") for name in os.environ):
        return None
    from runner.client import Client
    from runner.monitor.otel import TraceExport, is_configured, span_exporter

    if not is_configured(os.environ):
        return None
    client = Client(root=project.root, store=store)
    return TraceExport(
        store, span_exporter(), service=project.namespace, version=__version__, redaction_of=client.redaction
    )


def required_export(project: Project, store: Store) -> TraceExport:
    """For a command that does nothing else. Raises ConfigError."""
    export = trace_export(project, store)
    if export is None:
        raise ConfigError(
            "no collector is configured: set OTEL_EXPORTER_OTLP_ENDPOINT (http://localhost:4318), as for the engine"
        )
    return export
