"""What real servers say of themselves, under both engines, and which are refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import redis

from runner.errors import ServerRefused, StoreUnavailable
from runner.store.server import admit, inspect
from tests.servers import private_server, redis_binary, valkey_binary


@pytest.fixture(params=["Valkey", "Redis"], scope="module")
def server_url(request) -> Iterator[str]:
    with private_server(valkey_binary() if request.param == "Valkey" else redis_binary()) as url:
        yield url


@pytest.fixture
def server(server_url) -> Iterator[redis.Redis]:
    """With every setting as it was afterwards."""
    with redis.from_url(server_url, decode_responses=True) as client:
        yield client
        for name, value in (("maxmemory-policy", "noeviction"), ("appendonly", "no"), ("appendfsync", "everysec")):
            client.config_set(name, value)
        client.replicaof("NO", "ONE")


@contextlib.contextmanager
def user(server: redis.Redis, url: str, *rules: str) -> Iterator[redis.Redis]:
    """A client that may do everything but what the rules take away."""
    server.acl_setuser("limited", enabled=True, passwords=["+secret"], reset=True)
    server.execute_command("ACL", "SETUSER", "limited", "~*", "&*", "+@all", *rules)
    with redis.from_url(url, username="limited", password="secret", decode_responses=True) as client:
        yield client


def test_it_is_described(server):
    facts = inspect(server)
    assert facts.label.split()[0] in ("Valkey", "Redis")
    assert (facts.role, facts.cluster, facts.eviction, facts.appendonly) == ("master", False, "noeviction", False)
    assert (facts.appendfsync, facts.unsynced_rewrites, facts.config_readable) == ("no", False, True)


def test_a_client_that_decodes_nothing_sees_the_same(server, server_url):
    with redis.from_url(server_url) as undecoded:
        assert inspect(undecoded) == inspect(server)


def test_an_evicting_server_is_refused(server):
    server.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(ServerRefused, match="maxmemory-policy is allkeys-lru"):
        admit(inspect(server), "none")


def test_an_evicting_server_is_refused_where_config_is_forbidden(server, server_url):
    server.config_set("maxmemory-policy", "volatile-lru")
    with (
        user(server, server_url, "-config") as limited,
        pytest.raises(ServerRefused, match="maxmemory-policy is volatile"),
    ):
        admit(inspect(limited), "none")


def test_following_the_refusals_of_strict_leads_to_a_server_that_is_admitted(server):
    with pytest.raises(ServerRefused, match="CONFIG SET appendonly yes"):
        admit(inspect(server), "strict")
    server.config_set("appendonly", "yes")
    server.config_set("appendfsync", "everysec")
    with pytest.raises(ServerRefused, match="CONFIG SET appendfsync always"):
        admit(inspect(server), "strict")
    server.config_set("appendfsync", "always")
    assert admit(inspect(server), "strict") == ()


def test_where_config_is_forbidden_info_tells_that_there_is_a_file(server, server_url):
    server.config_set("appendonly", "yes")
    with user(server, server_url, "-config") as limited:
        facts = inspect(limited)
    assert (facts.appendonly, facts.appendfsync, facts.config_readable) == (True, None, False)


def test_forbidden_info_is_refused(server, server_url):
    with user(server, server_url, "-info") as limited, pytest.raises(ServerRefused, match=r"\+info"):
        inspect(limited)


def test_a_replica_is_refused(server):
    server.replicaof("127.0.0.1", "1")
    with pytest.raises(ServerRefused, match="it is a replica"):
        admit(inspect(server), "none")


def test_a_wrong_password_is_refused(server_url):
    with (
        redis.from_url(server_url, username="nobody", password="x") as stranger,
        pytest.raises(ServerRefused, match="URL"),
    ):
        inspect(stranger)


def test_nobody_there_is_unavailable(tmp_path):
    with redis.from_url(f"unix://{tmp_path}/s") as client, pytest.raises(StoreUnavailable):
        inspect(client)
