"""A server is judged by what it says of itself, and a refusal names the setting and the way out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import redis

from runner.errors import ServerRefused, StoreUnavailable, UsageError
from runner.store.server import ServerFacts, admit, inspect

SAFE = ServerFacts(
    engine="Valkey",
    version="9.1.2",
    role="master",
    cluster=False,
    maxmemory=0,
    eviction="noeviction",
    appendonly=True,
    appendfsync="always",
    unsynced_rewrites=False,
    config_readable=True,
)
REDIS_INFO = {"redis_version": "7.0.15", "redis_mode": "standalone", "role": "master", "maxmemory": 0,
              "maxmemory_policy": "noeviction", "aof_enabled": 0, "cluster_enabled": 0}  # fmt: skip
CONFIG = {"maxmemory": "0", "maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "everysec",
          "no-appendfsync-on-rewrite": "no"}  # fmt: skip


class StubServer:
    """Answers INFO and CONFIG GET; an exception in place of an answer is raised."""

    def __init__(self, info: object, config: object) -> None:
        self._info = info
        self._config = config

    def info(self):
        if isinstance(self._info, Exception):
            raise self._info
        return self._info

    def config_get(self, name):
        if isinstance(self._config, Exception):
            raise self._config
        return {name: self._config[name]} if name in self._config else {}


# -- inspect -----------------------------------------------------------------------------------------
def test_a_redis_is_described():
    assert inspect(StubServer(REDIS_INFO, CONFIG)) == ServerFacts(
        engine="Redis",
        version="7.0.15",
        role="master",
        cluster=False,
        maxmemory=0,
        eviction="noeviction",
        appendonly=True,
        appendfsync="everysec",
        unsynced_rewrites=False,
        config_readable=True,
    )


def test_a_valkey_is_known_by_its_own_version_not_by_the_redis_it_imitates():
    info = REDIS_INFO | {"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "9.1.2"}
    assert inspect(StubServer(info, CONFIG)).label == "Valkey 9.1.2"


def test_without_config_the_facts_come_from_info():
    info = REDIS_INFO | {"maxmemory": 1000, "maxmemory_policy": "allkeys-lru", "aof_enabled": 1}
    facts = inspect(StubServer(info, redis.exceptions.NoPermissionError("no")))
    assert (facts.maxmemory, facts.eviction, facts.appendonly) == (1000, "allkeys-lru", True)


def test_without_config_it_is_unknown_when_the_file_is_synced():
    facts = inspect(StubServer(REDIS_INFO, redis.ResponseError("unknown command 'CONFIG'")))
    assert (facts.appendfsync, facts.unsynced_rewrites, facts.config_readable) == (None, None, False)


def test_settings_may_come_as_bytes():
    class Bytes(StubServer):
        def config_get(self, name):
            return {name.encode(): self._config[name].encode()}

    assert inspect(Bytes(REDIS_INFO, CONFIG)).appendfsync == "everysec"


def test_a_member_of_a_cluster_is_known_by_its_mode():
    assert inspect(StubServer(REDIS_INFO | {"redis_mode": "cluster"}, CONFIG)).cluster


def test_a_slave_is_called_a_replica():
    assert inspect(StubServer(REDIS_INFO | {"role": "slave"}, CONFIG)).role == "replica"


def test_forbidden_info_is_refused_with_the_permission_it_takes():
    with pytest.raises(ServerRefused, match=r"\+info"):
        inspect(StubServer(redis.exceptions.NoPermissionError("no"), CONFIG))


@pytest.mark.parametrize("error", [redis.ConnectionError("refused"), redis.TimeoutError("slow")])
def test_an_unreachable_server_is_unavailable_not_refused(error):
    with pytest.raises(StoreUnavailable):
        inspect(StubServer(error, CONFIG))


def test_a_wrong_password_is_refused_not_unavailable():
    with pytest.raises(ServerRefused, match="password"):
        inspect(StubServer(redis.AuthenticationError("WRONGPASS"), CONFIG))


# -- admit: whatever the durability --------------------------------------------------------------------
@pytest.mark.parametrize("durability", ["strict", "standard", "none"])
def test_a_safe_server_is_admitted_without_a_warning(durability):
    assert admit(SAFE, durability) == ()


@pytest.mark.parametrize("durability", ["strict", "standard", "none"])
@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru", "volatile-ttl"])
def test_an_evicting_server_is_refused_always(durability, policy):
    with pytest.raises(ServerRefused, match=rf"maxmemory-policy is {policy}.*CONFIG SET maxmemory-policy noeviction"):
        admit(replace(SAFE, eviction=policy), durability)


def test_where_config_is_forbidden_the_way_out_is_not_config_set():
    with pytest.raises(ServerRefused, match="parameter group") as refusal:
        admit(replace(SAFE, eviction="volatile-lru", config_readable=False), "none")
    assert "CONFIG SET" not in str(refusal.value)


def test_a_server_that_hides_its_eviction_policy_is_refused():
    with pytest.raises(ServerRefused, match="maxmemory-policy"):
        admit(replace(SAFE, eviction=None), "none")


@pytest.mark.parametrize(("engine", "version"), [("Redis", "6.2.14"), ("Redis", "5.0"), ("Valkey", "7.1.9")])
def test_an_old_server_is_refused(engine, version):
    with pytest.raises(ServerRefused, match=f"version {version} is too old"):
        admit(replace(SAFE, engine=engine, version=version), "none")


@pytest.mark.parametrize(("engine", "version"), [("Redis", "7.0.0"), ("Redis", "8.2.3"), ("Valkey", "7.2.4")])
def test_the_oldest_and_newer_servers_are_admitted(engine, version):
    assert admit(replace(SAFE, engine=engine, version=version), "strict") == ()


def test_a_cluster_is_refused():
    with pytest.raises(ServerRefused, match="cluster"):
        admit(replace(SAFE, cluster=True), "none")


def test_a_replica_is_refused():
    with pytest.raises(ServerRefused, match="it is a replica: name its primary"):
        admit(replace(SAFE, role="replica"), "none")


def test_a_sentinel_is_refused():
    with pytest.raises(ServerRefused, match="role is sentinel"):
        admit(replace(SAFE, role="sentinel"), "none")


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(ServerRefused) as refusal:
        admit(replace(SAFE, eviction="allkeys-lru", role="replica", appendfsync="everysec"), "strict")
    assert len(str(refusal.value).splitlines()) == 1 + 3 + 1  # who, what, what, what, and the way to ask for less


def test_an_unknown_durability_is_a_usage_error():
    with pytest.raises(UsageError, match="fast"):
        admit(SAFE, "fast")


# -- admit: strict ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("fsync", ["everysec", "no"])
def test_strict_needs_every_write_synced(fsync):
    with pytest.raises(ServerRefused, match=f"appendfsync is {fsync}.*CONFIG SET appendfsync always"):
        admit(replace(SAFE, appendfsync=fsync), "strict")


def test_strict_needs_an_append_only_file():
    with pytest.raises(ServerRefused, match="CONFIG SET appendonly yes"):
        admit(replace(SAFE, appendonly=False), "strict")


def test_strict_needs_syncs_during_rewrites_too():
    with pytest.raises(ServerRefused, match="CONFIG SET no-appendfsync-on-rewrite no"):
        admit(replace(SAFE, unsynced_rewrites=True), "strict")


def test_strict_refuses_what_it_cannot_see():
    with pytest.raises(ServerRefused, match=r"allow CONFIG GET to this user \(ACL: \+config\|get\)"):
        admit(replace(SAFE, appendfsync=None, unsynced_rewrites=None, config_readable=False), "strict")


def test_a_refusal_of_strict_says_what_less_would_mean():
    with pytest.raises(ServerRefused, match='durability "standard" accepts'):
        admit(replace(SAFE, appendfsync="everysec"), "strict")


# -- admit: standard and none ----------------------------------------------------------------------------
def test_standard_takes_a_sync_every_second():
    assert admit(replace(SAFE, appendfsync="everysec"), "standard") == ()


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        ({"appendonly": False}, "appendonly is no"),
        ({"appendonly": None, "appendfsync": None}, "does not say whether appendonly"),
        ({"appendfsync": "no"}, "appendfsync is no"),
    ],
)
def test_standard_warns_of_a_server_that_may_lose_runs(change, warning):
    (said,) = admit(replace(SAFE, **change), "standard")
    assert warning in said


def test_none_does_not_ask_about_the_disk():
    assert admit(replace(SAFE, appendonly=False, appendfsync="no"), "none") == ()
