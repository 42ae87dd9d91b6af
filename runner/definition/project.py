"""A project: its folder, and what its sagarun.yaml says. The command line and the client find the same one.

The root is the folder of the sagarun.yaml found from the starting point upwards; without one, the
nearest folder upwards that holds a folder `definitions`, else the starting point itself. What overrides the file
(flags, the environment) is not known here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.definition.alert_settings import AlertSettings, read_alerts
from runner.definition.duration import parse_duration
from runner.errors import ConfigError

CONFIG_NAME = "sagarun.yaml"
DEFAULT_NAME = "sagarun"
DEFAULT_RETENTION = "7d"
ENDINGS = ("completed", "compensated", "cancelled", "abandoned")
DEFAULT_WORKERS = ("workers",)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Where the project's log goes; `file` is relative to the root, "" for logs/<project>.log."""

    file: str = ""
    level: str = "info"
    max_bytes: int = 10_000_000
    backups: int = 5


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """What `http.request` may reach, and by which way; `ca_file` is relative to the root."""

    allow: tuple[str, ...] = ()
    proxy: str = ""
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class ValidateSettings:
    """What `validate` reports: codes or beginnings of codes, and the severity from which on it fails."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: str = "error"


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """figures: engines count what becomes of runs and attempts."""

    figures: bool = True


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a run is kept after its end, by how it ended. 0: for ever."""

    completed: int = 604_800_000
    compensated: int = 604_800_000
    cancelled: int = 604_800_000
    abandoned: int = 604_800_000

    def of(self, status: str) -> int:
        """In milliseconds."""
        kept_ms: int = getattr(self, status)
        return kept_ms


@dataclass(frozen=True, slots=True)
class Project:
    """One project's settings, with the defaults filled in."""

    root: Path
    config: Path | None = None  # None: there is no sagarun.yaml
    name: str = DEFAULT_NAME
    redis_url: str | None = None
    durability: str | None = None
    retention: Retention = Retention()
    archive: str = ""  # where runs are copied before they expire; "": nowhere
    workers: tuple[str, ...] = DEFAULT_WORKERS
    http: HttpSettings = field(default_factory=HttpSettings)
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by name: {env: VARIABLE} or {file: path}
    log: LogSettings = field(default_factory=LogSettings)
    monitor: MonitorSettings = field(default_factory=MonitorSettings)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    validate: ValidateSettings = field(default_factory=ValidateSettings)

    @property
    def namespace(self) -> str:
        """What all its keys in Redis begin with."""
        return self.name

    @property
    def definitions(self) -> Path:
        return self.root / "definitions"

    @property
    def state(self) -> Path:
        """The folder of the embedded server and of what local processes share."""
        return self.root / ".sagarun"

    @property
    def log_file(self) -> Path:
        return self.root / (self.log.file or f"logs/{self.name}.log")


def find_project(start: Path, config: Path | None = None) -> Project:
    """The project that a file or folder belongs to; `config` names its settings outright. Raises ConfigError."""
    project = _find(start, config)
    try:
        str(project.root).encode()
    except UnicodeEncodeError:  # in no URL, JSON or log could it be named
        raise ConfigError(f"the name of the project's folder is not UTF-8: {str(project.root)!r}; rename it") from None
    return project


def _find(start: Path, config: Path | None) -> Project:
    if config is not None:
        if not config.is_file():
            raise ConfigError(f"there is no settings file {config}")
        return _read(config.resolve())
    folder = Path(os.path.realpath(start))  # not resolve(): before Python 3.13 it raises at links that lead in a circle
    if not folder.is_dir():
        folder = folder.parent
    found = next((above / CONFIG_NAME for above in (folder, *folder.parents) if (above / CONFIG_NAME).is_file()), None)
    if found is not None:
        return _read(found)
    around = (above for above in (folder, *folder.parents) if (above / "definitions").is_dir())
    return Project(root=next(around, folder))


def _read(config: Path) -> Project:
    # Here, because these two load PyYAML and jsonschema, which a project without a file does not need.
    from runner.definition.schema import check_schema
    from runner.definition.source import read_file
    from runner.errors import DefinitionError

    try:
        source = read_file(config, config.name)
        # A file with nothing but comments settles where the project is, and nothing else.
        problems = check_schema(source, "config") if source.value is not None else []
    except DefinitionError as error:
        problems = list(error.problems)
    if problems:
        found = "\n".join(str(problem) for problem in problems)
        raise ConfigError(f"the settings in {config} are wrong\n{found}")
    return _project(config, source.value or {})


def _project(config: Path, values: dict[str, Any]) -> Project:
    given = values.get("retention", DEFAULT_RETENTION)
    texts = given if isinstance(given, dict) else dict.fromkeys(ENDINGS, given)
    try:
        retention = Retention(**{ending: parse_duration(texts.get(ending, DEFAULT_RETENTION)) for ending in ENDINGS})
    except ValueError as error:
        raise ConfigError(f"{config}: retention: {error}") from None
    http, checks = values.get("http", {}), values.get("validate", {})
    return Project(
        root=config.parent,
        config=config,
        name=values.get("project", DEFAULT_NAME),
        redis_url=values.get("redis_url"),
        durability=values.get("durability"),
        retention=retention,
        archive=values.get("archive", ""),
        workers=tuple(values.get("workers", DEFAULT_WORKERS)),
        http=HttpSettings(**{**http, "allow": tuple(http.get("allow", ()))}),
        secrets=values.get("secrets", {}),
        log=LogSettings(**values.get("log", {})),
        monitor=MonitorSettings(**values.get("monitor", {})),
        alerts=_alerts(config, values.get("alerts", {})),
        validate=ValidateSettings(
            select=tuple(checks.get("select", ())),
            ignore=tuple(checks.get("ignore", ())),
            fail_on=checks.get("fail_on", "error"),
        ),
    )


def _alerts(config: Path, values: dict[str, Any]) -> AlertSettings:
    try:
        return read_alerts(values)
    except ConfigError as error:
        raise ConfigError(f"{config}: {error}") from None
