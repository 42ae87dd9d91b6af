"""A database by its URL: sqlite:/// with what comes with Python, any other with SQLAlchemy (extra: archive).

Both take the same SQL, with named parameters; it has to be what every database understands, so neither LIMIT nor
IF NOT EXISTS nor a text's order beyond that of digits and lower case letters. One object is for one thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from runner.errors import ArchiveUnavailable, ConfigError

SQLITE = "sqlite:///"
BUSY_S = 30.0  # others may be writing
Row = Mapping[str, Any]
NOTHING: Row = MappingProxyType({})
NAME, TEXT, NUMBER = "VARCHAR(255)", "TEXT", "BIGINT"  # a key's length is bounded, in all but SQLite


@dataclass(frozen=True, slots=True)
class Table:
    """`columns`: by name, NAME, TEXT or NUMBER, with a ? behind it where it may be null."""

    name: str
    columns: Mapping[str, str]
    key: Sequence[str]
    index: Sequence[str] = ()


class Database(Protocol):
    """Raises ArchiveUnavailable whenever the database does not do what it was asked for."""

    def make(self, tables: Sequence[Table]) -> None:
        """Those that are missing."""

    def read(self, sql: str, values: Row = NOTHING) -> Iterator[Row]:
        """Rows as they come, however many there are."""

    def write(self, statements: Sequence[tuple[str, Sequence[Row]]]) -> None:
        """All of them, or nothing: each for every one of its rows."""

    def close(self) -> None: ...


def file_of(url: str, root: Path) -> Path | None:
    """Of an SQLite file; None for any other database."""
    return root / url.removeprefix(SQLITE) if url.startswith(SQLITE) else None


def open_database(url: str, root: Path) -> Database:
    """Raises ArchiveUnavailable, ConfigError."""
    path = file_of(url, root)
    return SqliteFile(path) if path is not None else Alchemy(url)


class SqliteFile:
    """In write-ahead mode, so that reading and writing do not wait for each other."""

    def __init__(self, path: Path) -> None:
        self._name = str(path)
        with self._telling():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = WAL")
            # What is released from the server must be on disk here.
            self._connection.execute("PRAGMA synchronous = FULL")

    def make(self, tables: Sequence[Table]) -> None:
        with self._telling():
            for table in tables:
                columns = [
                    f"{name} {kind.removesuffix('?')}{'' if kind.endswith('?') else ' NOT NULL'}"
                    for name, kind in table.columns.items()
                ]
                key = f"PRIMARY KEY ({', '.join(table.key)})"
                self._connection.execute(f"CREATE TABLE IF NOT EXISTS {table.name} ({', '.join([*columns, key])})")
                if table.index:
                    self._connection.execute(
                        f"CREATE INDEX IF NOT EXISTS {table.name}_index ON {table.name} ({', '.join(table.index)})"
                    )

    def read(self, sql: str, values: Row = NOTHING) -> Iterator[Row]:
        with self._telling():
            for row in self._connection.execute(sql, dict(values)):
                yield dict(row)

    def write(self, statements: Sequence[tuple[str, Sequence[Row]]]) -> None:
        with self._telling():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for sql, rows in statements:
                    for row in rows:
                        self._connection.execute(sql, dict(row))
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ArchiveUnavailable(f"the archive {self._name}: {error}") from error


class Alchemy:
    """Whatever SQLAlchemy has a driver for."""

    def __init__(self, url: str) -> None:
        try:
            import sqlalchemy
        except ImportError:
            raise ConfigError(
                f"the archive {url.partition(':')[0]} needs SQLAlchemy: pip install 'sagarun[archive]'"
            ) from None
        self._alchemy = sqlalchemy
        self._name = url.partition(":")[0]
        with self._telling():
            self._engine = sqlalchemy.create_engine(url, pool_pre_ping=True)

    def make(self, tables: Sequence[Table]) -> None:
        with self._telling():
            known = self._described(tables)
            try:
                known.create_all(self._engine)
            except self._alchemy.exc.SQLAlchemyError:
                known.create_all(self._engine)  # another process may have made them in between

    def _described(self, tables: Sequence[Table]) -> Any:
        from sqlalchemy.dialects.mysql import LONGTEXT

        alchemy = self._alchemy
        long = alchemy.Text().with_variant(LONGTEXT(), "mysql", "mariadb")  # whose TEXT ends at 64 KiB
        types = {NAME: alchemy.String(255), TEXT: long, NUMBER: alchemy.BigInteger()}
        described = alchemy.MetaData()
        for table in tables:
            columns = [
                alchemy.Column(
                    name, types[kind.removesuffix("?")], nullable=kind.endswith("?"), primary_key=name in table.key,
                    autoincrement=False,
                )
                for name, kind in table.columns.items()
            ]
            indices = [alchemy.Index(f"{table.name}_index", *table.index)] if table.index else []
            alchemy.Table(table.name, described, *columns, *indices)
        return described

    def read(self, sql: str, values: Row = NOTHING) -> Iterator[Row]:
        with self._telling(), self._engine.connect() as connection:
            connection = connection.execution_options(stream_results=True)
            with connection.execute(self._alchemy.text(sql), dict(values)) as rows:
                for row in rows.mappings():
                    yield dict(row)

    def write(self, statements: Sequence[tuple[str, Sequence[Row]]]) -> None:
        with self._telling(), self._engine.begin() as connection:
            for sql, rows in statements:
                if rows:
                    values = [dict(row) for row in rows]
                    connection.execute(self._alchemy.text(sql), values if len(values) > 1 else values[0])

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """The URL may hold a password, so it is never told."""
        try:
            yield
        except (self._alchemy.exc.SQLAlchemyError, ImportError, OSError) as error:
            text = str(getattr(error, "orig", None) or error).split("\n", 1)[0]
            raise ArchiveUnavailable(f"the archive {self._name}: {text}") from error
