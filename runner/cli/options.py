"""The flags that every command takes, before or after its name.

The later one wins. They are kept in the context's `meta`, which click shares between the group and the command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

FORMATS = ("text", "json", "jsonl")
_PREFIX = "sagarun."
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Flags:
    """What was given on the command line; None: nothing was."""

    redis_url: str | None = None
    config: Path | None = None
    format: str | None = None
    no_color: bool = False
    quiet: bool = False
    verbose: bool = False


def flags() -> Flags:
    """Of the command that is running."""
    meta = click.get_current_context().meta
    given = {name: meta.get(_PREFIX + name) for name in Flags.__dataclass_fields__}
    return Flags(**{name: value for name, value in given.items() if value is not None})


def keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None and parameter.name is not None:
        context.meta[_PREFIX + parameter.name] = value


def _option(*names: str, **settings: Any) -> Callable[[Command], Command]:
    return click.option(*names, callback=keep, expose_value=False, default=None, **settings)


def shared_options(command: Command) -> Command:
    """All of them, the output format among them."""
    return _format(plain_options(command))


def plain_options(command: Command) -> Command:
    """All but --format, for the command that has formats of its own."""
    for option in reversed(_PLAIN):
        command = option(command)
    return command


_PLAIN: tuple[Callable[[Any], Any], ...] = (
    _option("--redis-url", metavar="URL", help="Use this server, not the embedded one. [SAGARUN_REDIS_URL]"),
    _option(
        "--config",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="The project's settings; else the sagarun.yaml found from here upwards. [SAGARUN_CONFIG]",
    ),
    _option("--no-color", is_flag=True, help="No colours. [NO_COLOR]"),
    _option("--quiet", "-q", is_flag=True, help="Only data and errors."),
    _option("--verbose", "-v", is_flag=True, help="More detail."),
)

_format = _option("--format", type=click.Choice(FORMATS), help="How data is printed (text).")
