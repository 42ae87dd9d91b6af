"""Who may use the server: the least rights that suffice, TLS, passwords that are changed, and what a refusal costs."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from runner.errors import ServerRefused, StoreUnavailable
from runner.store.opening import open_store
from runner.store.redis_store import RedisStore
from runner.store.scripts import load_script
from tests.conformance.scenario import tell
from tests.conformance.store_world import redis_world
from tests.integration.faults.system import Server, breakable_server, system
from tests.lua import script_names
from tests.project.repository import ROOT
from tests.servers import redis_binary, until, valkey_binary
from tests.web import free_port

SECRET = "kanarienvogel-passwort-4711"


# -- the least rights that suffice --------------------------------------------------------------------------
def documented_rules(project: str) -> list[str]:
    """The line of docs/servers.md, for a project of this name."""
    page = (ROOT / "docs/servers.md").read_text()
    line = re.search(r"^ACL SETUSER sagarun (.*)$", page, re.MULTILINE)
    assert line is not None
    return line[1].replace("shop", project).replace("PASSWORD", SECRET).split()


@pytest.fixture(params=["Valkey", "Redis"])
def limited(request) -> Iterator[Server]:
    """A server on which the default user may do nothing, and `sagarun` what the documentation gives it."""
    binary = valkey_binary() if request.param == "Valkey" else redis_binary()
    with breakable_server(binary) as server:
        with server.client() as admin:
            admin.execute_command("ACL", "SETUSER", "sagarun", *documented_rules("faults"))
            admin.execute_command("ACL", "SETUSER", "admin", "on", f">{SECRET}", "~*", "&*", "+@all")
            admin.execute_command("ACL", "SETUSER", "default", "off")
        yield server


def url_of(server: Server, user: str = "sagarun", password: str = SECRET) -> str:
    return server.url.replace("unix://", f"unix://{user}:{password}@")


def test_every_verb_works_with_the_documented_rights(limited: Server):
    world = redis_world(url_of(limited), "faults")
    stream = world.store.listen()
    assert tell(world.store, world.clock)
    assert ("r1", b"1") in stream.read(2)
    stream.close()
    world.store.close()


def test_without_the_channel_commits_stand_and_who_listens_is_refused(limited: Server):
    with Redis.from_url(url_of(limited, "admin")) as admin:
        admin.execute_command("ACL", "SETUSER", "sagarun", "resetchannels")
    world = redis_world(url_of(limited), "faults")
    assert tell(world.store, world.clock)
    with pytest.raises(ServerRefused, match="ACL"):
        world.store.listen()
    world.store.close()


def test_a_whole_system_works_with_the_documented_rights(limited: Server, tmp_path: Path):
    opened = open_store(url_of(limited), namespace="faults", state_dir=tmp_path)
    assert "noeviction" in str(opened.facts)
    opened.close()
    with system(url_of(limited), tmp_path) as house:
        house.engine()
        house.worker()
        assert house.statuses(house.begin(10, refused=5)) == {"completed": 5, "compensated": 5}
    with Redis.from_url(url_of(limited, "admin"), decode_responses=True) as admin:
        # What redis-py says of itself, and goes on without. Redis 7.0 does not know it.
        assert [row for row in admin.acl_log() if row["object"] != "client|setinfo"] == []


def test_no_documented_right_can_be_left_out(limited: Server):
    """Each command that is granted is one that is needed, so that the line does not grow out of habit."""
    with Redis.from_url(url_of(limited, "admin"), decode_responses=True) as admin:
        granted = {rule[1:].partition("|")[0] for rule in documented_rules("faults") if rule.startswith("+")}
        admin.config_resetstat()
        world = redis_world(url_of(limited), "faults")
        tell(world.store, world.clock)
        world.store.put_workers({"a": b"{}"})
        world.store.put_definition("digest", b"{}")
        world.store.get_definition("digest")
        world.store.get_workers()
        world.store.find_runs("r")
        world.store.listen().close()
        world.store.remove_schedule("order")
        world.clock.advance(10**6)
        for _ in range(3):
            world.store.tick()
        world.store.wait_for_runs(0.01)
        world.store.close()
        used = {name.removeprefix("cmdstat_").partition("|")[0] for name in admin.info("commandstats")}
    in_scripts = re.findall(r"(?:call|try)\('([A-Z]+)'", "".join(load_script(name).source for name in script_names()))
    used |= {command.lower() for command in in_scripts}
    assert granted - used == {"info", "select"}, "asked when a store is opened; a URL may name a database"


def test_the_documented_rights_reach_no_other_project_and_no_setting(limited: Server):
    with Redis.from_url(url_of(limited), decode_responses=True) as client:
        for command in (
            ("GET", "{other:00}:x"), ("HGETALL", "{other:00}:run:1"), ("KEYS", "*"), ("FLUSHALL",), ("SHUTDOWN",),
            ("CONFIG", "SET", "dir", "/tmp"), ("SCRIPT", "FLUSH"), ("ACL", "LIST"),
            ("EVAL", "return redis.call('GET', KEYS[1])", "1", "{other:00}:x"), ("REPLICAOF", "NO", "ONE"),
            ("EVAL", "return redis.call('GET', '{other:00}:x')", "0"), ("MONITOR",), ("RESTORE", "x", "0", ""),
        ):
            with pytest.raises(Exception, match=r"(?i)no permission|NOPERM|ACL failure|can't (access|run)"):
                client.execute_command(*command)


# -- refusals -------------------------------------------------------------------------------------------------
def test_a_password_that_is_taken_away_ends_an_engine_at_its_next_connection_and_causes_no_storm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with breakable_server() as server, server.client() as admin, system(server.url, tmp_path) as house:
        admin.execute_command("ACL", "SETUSER", "sagarun", *documented_rules("faults"))
        house.engine(url_of(server))
        assert house.store.count_live() == 0
        admin.execute_command("ACL", "SETUSER", "sagarun", "resetpass", ">another")
        admin.execute_command("CLIENT", "KILL", "USER", "sagarun")
        before = admin.info("stats")["total_connections_received"]
        until(lambda: house.failures, "the loop ends")
        time.sleep(1.0)  # in which a storm would be one
        tried = admin.info("stats")["total_connections_received"] - before
        assert tried <= 6, "the loop, the ticker, and what they had open: once each"
        (failure,) = house.failures
        assert isinstance(failure, ServerRefused)
        assert SECRET not in str(failure) + caplog.text


def test_passwords_are_rotated_without_a_pause(tmp_path: Path):
    """Two are valid for a while: new processes come with the new one, and then the old one goes."""
    with breakable_server() as server, server.client() as admin, system(server.url, tmp_path) as house:
        admin.execute_command("ACL", "SETUSER", "sagarun", *documented_rules("faults"))
        old, new = url_of(server), url_of(server, password="a-new-one")
        house.engine(old)
        first = house.worker(old)
        runs = house.begin(10, seconds=0.3)
        admin.execute_command("ACL", "SETUSER", "sagarun", ">a-new-one")
        house.engine(new)
        house.worker(new)
        first.stop(10)
        admin.execute_command("ACL", "SETUSER", "sagarun", f"<{SECRET}")
        assert house.statuses(runs) == {"completed": 10}
        assert set(house.told("did").values()) == {1}
        with pytest.raises(ServerRefused) as refused:
            RedisStore.connect(old, namespace="faults")
        assert SECRET not in str(refused.value)


# -- TLS ------------------------------------------------------------------------------------------------------
def certificate(folder: Path, name: str, address: str, *, days: int = 2) -> Path:
    if not shutil.which("openssl"):
        pytest.skip("no openssl on PATH")
    pem = folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / f"{name}.key", "-out", pem,
         "-days", str(days), "-subj", f"/CN={name}", "-addext", f"subjectAltName={address}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return pem


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """Port and certificate of a server that takes TLS on it. The distribution's: Valkey's binary has none."""
    pem = certificate(tmp_path, "here", "IP:127.0.0.1")
    port = free_port()
    settings = ("--tls-port", str(port), "--tls-cert-file", str(pem), "--tls-key-file", str(pem.with_suffix(".key")),
                "--tls-auth-clients", "no")
    with breakable_server(redis_binary(), settings=settings) as server:
        server.client().config_set("requirepass", SECRET)
        yield port, pem


def test_a_system_works_over_tls(tls, tmp_path: Path):
    port, pem = tls
    with system(f"rediss://:{SECRET}@127.0.0.1:{port}?ssl_ca_certs={pem}", tmp_path) as house:
        house.engine()
        house.worker()
        assert house.statuses(house.begin(5)) == {"completed": 5}
        assert house.store.address == f"rediss://127.0.0.1:{port}"


def test_a_server_whose_certificate_does_not_hold_is_not_spoken_to(tls, tmp_path: Path):
    port, pem = tls
    stranger = certificate(tmp_path, "stranger", "DNS:elsewhere.example")
    for reason, url in (
        ("nobody vouches for it", f"rediss://:{SECRET}@127.0.0.1:{port}"),
        ("another one does", f"rediss://:{SECRET}@127.0.0.1:{port}?ssl_ca_certs={stranger}"),
        ("it is for another name", f"rediss://:{SECRET}@localhost:{port}?ssl_ca_certs={pem}"),
    ):
        with pytest.raises(StoreUnavailable, match=r"(?i)certificate|hostname") as refused:
            RedisStore.connect(url, namespace="faults")
        assert SECRET not in str(refused.value), reason
