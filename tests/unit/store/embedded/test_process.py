"""How a server is started and asked without a client library."""

from __future__ import annotations

import pytest

from runner.store.embedded.process import ask, server_command, server_environment


def settings(durability: str) -> dict[str, str]:
    _, *words = server_command("/bin/server", "/s", "/data", durability)
    return dict(zip(words[::2], words[1::2], strict=True))


@pytest.mark.parametrize(
    ("durability", "appendonly", "appendfsync"),
    [("strict", "yes", "always"), ("standard", "yes", "everysec"), ("none", "no", "no")],
)
def test_durability_decides_when_the_file_is_synced(durability, appendonly, appendfsync):
    words = settings(durability)
    assert (words["--appendonly"], words["--appendfsync"]) == (appendonly, appendfsync)


def test_the_server_has_no_network_evicts_nothing_and_writes_no_snapshots():
    words = settings("strict")
    assert (words["--port"], words["--maxmemory-policy"], words["--save"]) == ("0", "noeviction", "")


def test_the_server_has_the_user_s_environment_and_keeps_freed_memory_at_hand(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert (server_environment()["TZ"], server_environment()["GLIBC_TUNABLES"]) == (
        "Europe/Berlin", "glibc.malloc.tcache_count=1000",
    )  # fmt: skip
    monkeypatch.setenv("GLIBC_TUNABLES", "mine")
    assert server_environment()["GLIBC_TUNABLES"] == "mine"


def test_nobody_at_a_socket_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        ask(tmp_path / "s", "PING")
