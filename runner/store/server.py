"""What a Redis server is, and whether runs may be trusted to it.

A server that evicts keys, or that rewinds acknowledged writes under `strict`, breaks runs silently and later. So
it is refused before the first write, and every refusal names the setting and how to change it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import redis

from runner.errors import ServerRefused, StoreUnavailable, UsageError
from runner.store.embedded.binary import OLDEST, release_of

_Judgement = tuple[list[str], list[str]]  # what is wrong, what to warn of
_SETTINGS = ("maxmemory", "maxmemory-policy", "appendonly", "appendfsync", "no-appendfsync-on-rewrite")


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """A server as it describes itself. None: it does not say (CONFIG is forbidden, and INFO leaves it out)."""

    engine: str  # Redis, Valkey
    version: str
    role: str  # master, replica
    cluster: bool
    maxmemory: int  # bytes; 0: no limit
    eviction: str | None
    appendonly: bool | None
    appendfsync: str | None  # always, everysec, no
    unsynced_rewrites: bool | None  # no-appendfsync-on-rewrite
    config_readable: bool

    @property
    def label(self) -> str:
        """For people: "Valkey 9.1.2"."""
        return f"{self.engine} {self.version}"

    @property
    def release(self) -> tuple[int, int]:
        """(major, minor)"""
        return release_of(self.version)


def inspect(client: redis.Redis) -> ServerFacts:
    """Ask the server. StoreUnavailable if it cannot be reached, ServerRefused if even INFO is forbidden."""
    try:
        info = cast("Mapping[str, Any]", client.info())
        config = _read_config(client)
    except (redis.AuthenticationError, redis.exceptions.AuthorizationError) as error:
        raise ServerRefused(f"the server does not accept the user name or password of its URL: {error}") from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise StoreUnavailable(f"the Redis server cannot be reached: {error}") from error
    except redis.ResponseError as error:
        raise ServerRefused(f"the server does not answer INFO ({error}): allow it to this user (ACL: +info)") from error
    valkey = info.get("server_name") == "valkey"
    mode = info.get("server_mode") or info.get("redis_mode")
    settings = config or {}
    return ServerFacts(
        engine="Valkey" if valkey else "Redis",
        version=str(info["valkey_version"] if valkey and "valkey_version" in info else info["redis_version"]),
        role="replica" if info.get("role") == "slave" else str(info.get("role")),
        cluster=mode == "cluster" or bool(info.get("cluster_enabled")),
        maxmemory=int(settings.get("maxmemory") or info.get("maxmemory") or 0),
        eviction=settings.get("maxmemory-policy") or info.get("maxmemory_policy"),
        appendonly=_flag(settings.get("appendonly", info.get("aof_enabled"))),
        appendfsync=settings.get("appendfsync"),
        unsynced_rewrites=_flag(settings.get("no-appendfsync-on-rewrite")),
        config_readable=config is not None,
    )


def _read_config(client: redis.Redis) -> dict[str, str] | None:
    """None: CONFIG is forbidden, or unknown to this service."""
    settings: dict[str, str] = {}
    for name in _SETTINGS:  # one by one: several in one command came with 7.0, and an older server is to be named
        try:
            answer = cast("Mapping[Any, Any]", client.config_get(name))
        except redis.ResponseError:
            return None
        settings.update((_text(key), _text(value)) for key, value in answer.items())
    return settings


def _flag(value: Any) -> bool | None:
    """CONFIG says yes and no, INFO 1 and 0."""
    return None if value is None else value in ("yes", 1)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def admit(facts: ServerFacts, durability: str) -> tuple[str, ...]:
    """Warnings about a server that may be used with this durability. ServerRefused names all that is wrong."""
    judge = _DURABILITY.get(durability)
    if judge is None:
        raise UsageError(f'durability "{durability}" is none of {", ".join(_DURABILITY)}')
    wrong = _unfit(facts)
    demands, warnings = judge(facts)
    wrong += demands
    if wrong:
        raise ServerRefused(f"{facts.label} must not be used for runs:" + "".join(f"\n  {reason}" for reason in wrong))
    return tuple(warnings)


def _unfit(facts: ServerFacts) -> list[str]:
    """Reasons that hold whatever the durability."""
    wrong = []
    oldest = OLDEST[facts.engine]
    if facts.release < oldest:
        wrong.append(f"version {facts.version} is too old: {facts.engine} {oldest[0]}.{oldest[1]} or newer is needed")
    if facts.cluster:
        wrong.append("it is part of a cluster, which is not supported: use a single server (cluster-enabled no)")
    if facts.role == "replica":
        wrong.append("it is a replica: name its primary (replicaof no one, if it is to be one itself)")
    elif facts.role != "master":
        wrong.append(f"its role is {facts.role}: name a server that holds data itself, not one that watches others")
    if facts.eviction is None:
        wrong.append("it does not say its maxmemory-policy: allow CONFIG GET to this user (ACL: +config|get)")
    elif facts.eviction != "noeviction":
        wrong.append(
            f"maxmemory-policy is {facts.eviction}, so it may delete parts of a run: "
            + _change("maxmemory-policy", "noeviction", facts)
        )
    return wrong


def _change(setting: str, value: str, facts: ServerFacts) -> str:
    if not facts.config_readable:  # a hosted service: its users cannot use CONFIG
        return f"set {setting} to {value} where the server is configured (a parameter group, or its configuration file)"
    return f"CONFIG SET {setting} {value}, and the same in its configuration file"


def _strict(facts: ServerFacts) -> _Judgement:
    """No acknowledged write may be lost. WAITAOF would do on an everysec server, but nothing here calls it."""
    wrong = []
    if facts.appendonly is False:
        wrong.append(f"appendonly is no, so a restart loses runs: {_change('appendonly', 'yes', facts)}")
    elif facts.appendonly is None or facts.appendfsync is None:
        wrong.append("it does not say its appendfsync: allow CONFIG GET to this user (ACL: +config|get)")
    if facts.appendfsync not in ("always", None):
        change = _change("appendfsync", "always", facts)
        wrong.append(f"appendfsync is {facts.appendfsync}, so a crash loses writes that it acknowledged: {change}")
    if facts.unsynced_rewrites:
        change = _change("no-appendfsync-on-rewrite", "no", facts)
        wrong.append(f"no-appendfsync-on-rewrite is yes, so nothing is synced while it rewrites its file: {change}")
    if wrong:
        wrong.append('or ask for less: durability "standard" accepts that a crash of the server rewinds up to 2 s')
    return [f"durability strict: {reason}" for reason in wrong], []


def _standard(facts: ServerFacts) -> _Judgement:
    if facts.appendonly is False:
        return [], [f"appendonly is no, so a restart of the server loses runs: {_change('appendonly', 'yes', facts)}"]
    if facts.appendonly is None:
        return [], ["the server does not say whether appendonly is yes: without it, a restart loses runs"]
    if facts.appendfsync == "no":
        change = _change("appendfsync", "everysec", facts)
        return [], [f"appendfsync is no, so a crash of its machine loses 30 s of writes and more: {change}"]
    return [], []


def _none(_: ServerFacts) -> _Judgement:
    return [], []


_DURABILITY: Mapping[str, Callable[[ServerFacts], _Judgement]] = {
    "strict": _strict,
    "standard": _standard,
    "none": _none,
}
