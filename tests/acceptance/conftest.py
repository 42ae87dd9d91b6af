"""Projects for the acceptance tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.program import Project, copy_project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """The order application, on an embedded server of its own."""
    made = copy_project(tmp_path / "shop")
    yield made
    made.close()


@pytest.fixture
def named_project(tmp_path: Path, namespace: str) -> Iterator[Project]:
    """The order application under a name of its own, for a server that tests share."""
    made = copy_project(tmp_path / "shop", namespace)
    yield made
    made.close()
