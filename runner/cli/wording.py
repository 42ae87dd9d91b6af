"""How times, errors, values and statuses are put into words. Pure; shared by everything that prints text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from runner.builtin import builtin_contracts
from runner.cli.screen import Line, json_text
from runner.fingerprint import place_of
from runner.store.ports import SlotInfo
from runner.wire import ErrorRecord

STATUS_STYLES = {
    "pending": "dim",
    "running": "cyan",
    "compensating": "yellow",
    "stuck": "bold red",
    "completed": "green",
    "compensated": "red",
    "cancelled": "yellow",
    "abandoned": "bold red",
    "failed": "red",
    "unknown": "yellow",
    "skipped": "dim",
    "compensation_failed": "bold red",
}


def hosted(modules: Sequence[str], contracts: Mapping[str, Any]) -> str:
    """workers (17 workers), from the modules that were imported and the contracts of what they registered."""
    own = len(contracts.keys() - builtin_contracts().keys())
    return f"{', '.join(modules)} ({plural(own, 'worker')})" if modules else "built-in workers only"


def duration(ms: float | None) -> str:
    """3 ms · 412 ms · 1.20 s · 12.3 s · 2 min 5 s · 3 h 20 min · 4 d 2 h"""
    if ms is None:
        return ""
    if ms < 1_000:
        return f"{round(ms)} ms"
    seconds = ms / 1_000
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def seconds(ms: float) -> str:
    """Of a whole run: 0.49 s, and from a minute on as `duration`."""
    return f"{ms / 1_000:.2f} s" if ms < 60_000 else duration(ms)


def moment(at_ms: int) -> str:
    """Local time, to the second."""
    return datetime.fromtimestamp(at_ms / 1_000).strftime("%Y-%m-%d %H:%M:%S") if at_ms else "-"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def items_text(count: int, noun: str) -> str:
    """1 item, 2 branches, no rounds"""
    if count == 1:
        return f"1 {noun}"
    return f"{count or 'no'} {noun}{'es' if noun.endswith('ch') else 's'}"


def error_text(error: ErrorRecord | None) -> str:
    """card_declined: insufficient funds; of an exception also where: exception: KeyError: 'sku' (workers/shop.py:12)"""
    if error is None:
        return ""
    place = f" ({place_of(error)})" if place_of(error) else ""
    return f"{error.code}: {error.message}{place}" if error.message else f"{error.code}{place}"


def line_text(line: SlotInfo) -> str:
    """What a pending run waits for: order:EU has 1 of 1 run under way (38305xh11yt0zr91); 2 others begin before it"""
    ids = ", ".join(line.holders) + (", …" if line.held > len(line.holders) else "")
    taken = f"{line.name} has {line.held} of {plural(line.limit, 'run')} under way{f' ({ids})' if ids else ''}"
    if not line.ahead:
        return f"{taken}; it is next"
    return f"{taken}; {plural(line.ahead, 'other')} begin{'s'[line.ahead > 1 :]} before it"


def one_line(text: str) -> str:
    return " ".join(text.split())


def pairs(value: Any) -> str:
    """An object's members side by side, anything else as JSON."""
    if isinstance(value, Mapping) and value:
        return "  ".join(f"{key}: {json_text(item)}" for key, item in value.items())
    return json_text(value)


def status(name: str) -> Line:
    return [(name, STATUS_STYLES.get(name, ""))]


def _without_empty_end(row: Sequence[Line | str]) -> Sequence[Line | str]:
    from runner.cli.screen import plain

    filled = [index for index, cell in enumerate(row) if plain(cell)]
    return row[: filled[-1] + 1] if filled else ()


def columns(rows: Sequence[Sequence[Line | str]], *, gap: str = "  ") -> list[Line]:
    """Rows with their cells below each other. A row's last cell is not padded, and makes no column wider."""
    from runner.cli.screen import plain

    rows = [_without_empty_end(row) for row in rows]
    if not any(rows):
        return [[] for _ in rows]
    most = max(len(row) for row in rows)
    widths = [
        max((len(plain(row[column])) for row in rows if column < len(row) - 1), default=0) for column in range(most)
    ]
    lines: list[Line] = []
    for row in rows:
        line: list[tuple[str, str]] = []
        for column, cell in enumerate(row):
            line.extend([(cell, "")] if isinstance(cell, str) else cell)
            if column < len(row) - 1:
                line.append((" " * (widths[column] - len(plain(cell))) + gap, ""))
        lines.append(line)
    return lines
