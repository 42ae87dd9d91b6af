"""Arguments that more than one command has, and how they are read."""

from __future__ import annotations

import click


def duration_ms(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """A click callback: a duration as definitions write it (60s, 5m), in milliseconds."""
    from runner.definition.duration import parse_duration

    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _address(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Refused before anything is started."""
    from runner.errors import ConfigError

    if value:
        from runner.monitor.endpoint import parse_address

        try:
            parse_address(value)
        except ConfigError as error:
            raise click.BadParameter(str(error)) from None
    return value


workers_option = click.option(
    "--workers", multiple=True, metavar="MODULE", help="Modules with the workers, instead of the project's."
)
patience_option = click.option(
    "--patience", metavar="DURATION", callback=duration_ms, default="30s", show_default=True,
    help="How long to wait for a server that does not answer yet.",
)  # fmt: skip
metrics_option = click.option(
    "--metrics", metavar="ADDRESS", default="", callback=_address,
    help="Answer /metrics, /healthz and /readyz there: 9464 (this machine only), :9464 or HOST:9464.",
)
reason_option = click.option("--reason", default="", metavar="TEXT", help="Why, for the record.")
by_option = click.option("--by", default="", metavar="WHO", help="Who asks, for the record. Default: user@host.")
