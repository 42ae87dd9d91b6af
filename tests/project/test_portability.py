"""What the repository says is true on every machine: it names no path of one, and no registry's host."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.project.repository import FOLDERS, ROOT, TOP_LEVEL, files, relative

# Put together here, or this file would be the one that is found.
PATHS = ["/" + folder + "/" for folder in ("work", "root", "home")]
HOSTS = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("debian", "org"))]


def everything() -> list[Path]:
    found = [*files(*FOLDERS), *(ROOT / name for name in TOP_LEVEL)]
    assert len(found) > 100, "the walk has lost its way"
    return found


@pytest.mark.parametrize("text", PATHS + HOSTS)
def test_no_file_names_one_machine_or_a_registry(text: str):
    mentions = [relative(path) for path in everything() if text in path.read_text(encoding="utf-8", errors="replace")]
    assert mentions == []


def test_everything_at_the_top_is_listed():
    """A new name at the top is a decision; the other tests of this folder look only where repository.py says."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: what is tracked cannot be told from what lies about")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {name.partition("/")[0] for name in names.split("\0") if name} - {*FOLDERS, *TOP_LEVEL} == set()


def test_everything_that_is_listed_is_there():
    assert [name for name in (*FOLDERS, *TOP_LEVEL) if not (ROOT / name).exists()] == []
