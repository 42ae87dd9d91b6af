"""What the server has is told also while the archive is away."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.cli.archived import with_archive
from runner.cli.screen import Screen
from runner.definition.project import Project
from runner.errors import ArchiveUnavailable


def test_while_the_archive_is_away_the_servers_share_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "a.db").write_text("no database")
    settings: Any = SimpleNamespace(project=Project(root=tmp_path, archive="sqlite:///a.db"), screen=Screen())
    assert with_archive(settings, lambda archive: [archive], is_needed=False) == [None]
    assert "only what the server has is here: the archive" in capsys.readouterr().err
    with pytest.raises(ArchiveUnavailable):
        with_archive(settings, lambda archive: [archive], is_needed=True)
