"""How many runs of a workflow are under way, by the very definition that each of them keeps. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from runner.cli.settings import Settings
from runner.definition.model import Definition

_LIVE = ("pending", "running", "compensating", "stuck")
_MOST = 10_000  # of each status


@dataclass(frozen=True, slots=True)
class Living:
    """By version and digest: how many have which status. `is_all`: there are no more than these."""

    by_definition: Mapping[tuple[str, str], Mapping[str, int]]
    is_all: bool = True

    @property
    def counts(self) -> list[dict[str, object]]:
        return [
            {"version": version, "digest": digest, "runs": sum(found.values()), **found}
            for (version, digest), found in sorted(self.by_definition.items())
        ]

    def lines(self, old: Definition | None, new: Definition) -> Iterator[str]:
        """In words, a line each."""
        from runner.cli.wording import plural

        least = "" if self.is_all else "at least "
        if not self.by_definition:
            yield f"no run of {new.workflow} is under way"
        for (version, digest), found in sorted(self.by_definition.items()):
            which = "with this definition" if digest == new.digest else "with another one than either"
            if old is not None and digest == old.digest != new.digest:
                which = "with the old definition"
            statuses = ", ".join(f"{number} {status}" for status, number in sorted(found.items()))
            yield f"{least}{plural(sum(found.values()), 'run')} of {version} under way {which}: {statuses}"


def living_runs(settings: Settings, workflow: str) -> Living | None:
    """None where there is no server to ask; one that does not answer is said, and is no failure of the comparison."""
    from runner.cli.opened import has_runs, opened_store
    from runner.errors import StoreUnavailable

    if not has_runs(settings):
        return None
    found: dict[tuple[str, str], Counter[str]] = {}
    is_all = True
    try:
        with opened_store(settings) as opened:
            for status in _LIVE:
                rows = opened.store.list_runs(limit=_MOST, status=status)
                is_all = is_all and len(rows) < _MOST
                for row in rows:
                    summary = msgspec.json.decode(row.summary) if row.summary else {}
                    if summary.get("workflow") == workflow:
                        kept = (str(summary.get("version", "")), str(summary.get("definition", "")))
                        found.setdefault(kept, Counter())[status] += 1
    except StoreUnavailable as error:
        settings.screen.note(f"runs that are under way were not counted: {str(error).splitlines()[0]}")
        return None
    return Living(found, is_all)
