"""A Code Quality report of GitLab, which shows findings in the merge request."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from runner.definition.problem import Problem

_SEVERITY = {"error": "critical", "warning": "minor", "info": "info"}


def report(problems: Sequence[Problem], _files: Sequence[Path]) -> Iterator[str]:
    """One JSON array."""
    seen: Counter[str] = Counter()
    entries = []
    for problem in problems:
        # Not the line: a finding that only moved is not a new one. Equal findings are told apart by their number.
        subject = f"{problem.file}\0{problem.code}\0{problem.message}"
        seen[subject] += 1
        fingerprint = hashlib.sha256(f"{subject}\0{seen[subject]}".encode()).hexdigest()
        hint = f" ({problem.hint})" if problem.hint else ""
        entries.append(
            {
                "description": f"{problem.message}{hint}",
                "check_name": problem.code,
                "fingerprint": fingerprint,
                "severity": _SEVERITY[problem.severity],
                "location": {"path": problem.file, "lines": {"begin": problem.line}},
            }
        )
    yield json.dumps(entries, indent=2, ensure_ascii=False)
