"""What the processes' own log says of bugs: whatever is told as critical, and runs that could not be interpreted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

BUGS = ("interpreting the run broke", "the thread", "the run cannot even be set aside", "could not be looked at")


def alarms(folder: Path) -> list[str]:
    """Each message once, with how often it came. A last line that was cut by a kill is no alarm."""
    found: Counter[str] = Counter()
    for path in sorted(folder.glob("*.log*")):
        for line in path.read_text(errors="replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            message = str(record.get("message", ""))
            if record.get("level") == "CRITICAL" or message.startswith(BUGS):
                found[f"{record.get('logger')}: {message.splitlines()[0]}"] += 1
    return [f"in the log, {count} times: {message}" for message, count in found.most_common(20)]
