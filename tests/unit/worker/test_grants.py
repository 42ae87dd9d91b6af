"""What the project grants: nothing, until it is said."""

from __future__ import annotations

import pytest

from runner.errors import ConfigError
from runner.worker import grants as module
from runner.worker.grants import Grants, grant, granted
from runner.worker.http.hosts import read_url


@pytest.fixture(autouse=True)
def nothing_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_granted", Grants())


def test_nothing_is_granted_until_it_is_said():
    assert granted() == Grants()
    assert granted().hosts.match(read_url("https://api.example.com/")) is None


def test_what_was_said_last_holds():
    grant(Grants(allow=("api.example.com",)))
    assert granted().hosts.match(read_url("https://api.example.com/")) == "named"


def test_a_host_that_is_none_is_refused_at_once_and_changes_nothing():
    grant(Grants(allow=("api.example.com",)))
    with pytest.raises(ConfigError, match=r"http\.allow"):
        grant(Grants(allow=("api example",)))
    assert granted().allow == ("api.example.com",)
