"""The README's own project, typed off as it stands there, with the cases of docs/workers.md: it does what is said."""

from __future__ import annotations

import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.acceptance.program import Project, without_workers
from tests.project.repository import ROOT


def block(page: str, language: str, first: str) -> str:
    """The block of a page that begins so."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (found,) = [each for each in blocks if each.startswith(first)]
    assert isinstance(found, str)
    return found


@pytest.fixture
def trip(project: Project) -> Project:
    """Nothing but what a reader typed."""
    for folder in ("definitions", "workers", "schemas"):
        shutil.rmtree(project.root / folder)
    (project.root / "sagarun.yaml").unlink()
    typed = {
        "definitions/trip.yaml": block("README.md", "yaml", "workflow: trip"),
        "definitions/trip.test.yaml": block("docs/workers.md", "yaml", "definition: trip.yaml"),
        "workers/travel.py": block("README.md", "python", "import sqlite3"),
        "workers/__init__.py": "",
    }
    for name, text in typed.items():
        (project.root / name).parent.mkdir(exist_ok=True)
        (project.root / name).write_text(text, encoding="utf-8")
    project.environment["PYTHONPATH"] = str(without_workers(project))
    return project


def guests(root: Path) -> list[str]:
    database = sqlite3.connect(root / "hotel.db")
    try:
        return [guest for (guest,) in database.execute("SELECT guest FROM bookings")]
    finally:
        database.close()


def test_the_project_of_the_readme_does_what_is_said_of_it(trip: Project):
    booked = trip.sagarun("definitions/trip.yaml", code=0)
    assert 'room: "204"  seat: "12A"' in booked.out
    below = trip.root / "definitions"  # a relative path means the same file wherever a command is given
    refused = trip.sagarun("trip.yaml", "--set", "traveller=Icarus", code=1, cwd=below)
    assert "sold_out: no seat near the sun" in refused.out
    assert "↩ undoing 1 step" in refused.out
    assert guests(trip.root) == ["Ada"]
    assert not (below / "hotel.db").exists()


def test_the_cases_of_the_page_on_workers_hold(trip: Project):
    assert "2 passed" in trip.sagarun("test", code=0).out
    assert trip.sagarun("validate", code=0).err == "no problems in 2 files\n"
