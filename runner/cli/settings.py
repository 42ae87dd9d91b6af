"""What holds for this command: flags over environment over sagarun.yaml over defaults, and where each came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.cli.options import flags
from runner.cli.screen import Screen
from runner.definition.project import Project, find_project
from runner.errors import ConfigError, UsageError

REDIS_URL = "SAGARUN_REDIS_URL"
CONFIG = "SAGARUN_CONFIG"


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one command. `origins` says for each setting where it is from, for `doctor`."""

    project: Project
    redis_url: str | None  # None: the embedded server
    screen: Screen
    format: str
    origins: Mapping[str, str]

    @property
    def url_origin(self) -> str:
        """What named the server, as a person would look for it."""
        known = {"flag": "--redis-url", "environment": REDIS_URL}
        return known.get(self.origins["redis_url"], "redis_url in sagarun.yaml")

    def open_log(self, *, console: str = "") -> None:
        """From here on, what is logged goes to the project's file. `console`: see write_log. Raises ConfigError."""
        from runner.monitor.logs import write_log

        log = self.project.log
        write_log(
            self.project.log_file, level=log.level, max_bytes=log.max_bytes, backups=log.backups, console=console
        )

    @property
    def console(self) -> str:
        """For a process that stays: a terminal has a copy of its log. "" for anything else, and with -q."""
        if self.screen.quiet or not self.screen.is_terminal("stderr"):
            return ""
        return "plain" if self.screen.no_color or os.environ.get("NO_COLOR") else "colour"


def settings(near: Path | None = None) -> Settings:
    """For the command that is running. `near`: the file it is about, which decides the project. Raises ConfigError."""
    given = flags()
    config, config_origin = given.config, "flag"
    if config is None and os.environ.get(CONFIG):
        config, config_origin = Path(os.environ[CONFIG]), "environment"
    project = find_project(near if near is not None else _here(), config)
    redis_url, url_origin = _first(
        ("flag", given.redis_url), ("environment", os.environ.get(REDIS_URL)), ("sagarun.yaml", project.redis_url)
    )
    origins = {
        "config": config_origin if config else "found" if project.config else "none",
        "redis_url": url_origin,
        "project": "sagarun.yaml" if project.config else "default",
    }
    screen = Screen(
        format=given.format or "text", no_color=given.no_color, quiet=given.quiet, verbose=given.verbose
    )
    return Settings(project, redis_url, screen, given.format or "text", origins)


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ConfigError("the current folder does not exist any more") from None


def _first(*candidates: tuple[str, str | None]) -> tuple[str | None, str]:
    """The first that is given, with its origin."""
    return next(((value, origin) for origin, value in candidates if value), (None, "default"))


def require_format(chosen: str, allowed: tuple[str, ...]) -> None:
    if chosen not in allowed:
        raise UsageError(f"--format {chosen} is not for this command; it has {', '.join(allowed)}")
