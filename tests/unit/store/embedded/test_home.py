"""The home of an embedded server is private, and its socket's path short enough."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.errors import ConfigError
from runner.store.embedded import home as server_home
from runner.store.embedded.home import Kept, ServerHome, Written, open_home, socket_path, start_log


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def long_home(tmp_path) -> ServerHome:
    return open_home(tmp_path / ("a" * 60) / ("b" * 60) / ".sagarun")


@pytest.fixture
def temp(monkeypatch) -> Iterator[Path]:
    """What takes the place of /tmp, short enough for a socket."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with tempfile.TemporaryDirectory(prefix="sr-") as folder, monkeypatch.context() as patch:
        patch.setattr(tempfile, "gettempdir", lambda: folder)
        yield Path(folder)


def test_a_new_home_is_for_its_user_only(tmp_path):
    home = open_home(tmp_path / "project" / ".sagarun")
    assert (mode(home.path), mode(home.data)) == (0o700, 0o700)


def test_a_home_that_others_could_enter_is_closed_to_them(tmp_path):
    (tmp_path / ".sagarun").mkdir(mode=0o755)
    assert mode(open_home(tmp_path / ".sagarun").path) == 0o700


def test_a_home_keeps_itself_out_of_version_control(tmp_path):
    assert (open_home(tmp_path / ".sagarun").path / ".gitignore").read_text() == "*\n"


def test_a_home_of_somebody_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(server_home.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ConfigError, match="belongs to the user with id"):
        open_home(tmp_path / ".sagarun")


def test_a_home_that_cannot_be_made_is_a_configuration_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="--redis-url"):
        open_home(tmp_path / "file" / ".sagarun")


def test_every_way_to_a_home_is_the_same_home(tmp_path):
    open_home(tmp_path / "project")
    (tmp_path / "link").symlink_to(tmp_path / "project")
    assert open_home(tmp_path / "link") == open_home(tmp_path / "x" / ".." / "project")


# -- the socket ------------------------------------------------------------------------------------------
def test_the_socket_is_in_the_home_when_its_path_is_short():
    assert socket_path(ServerHome(Path("/p/.sagarun"))) == Path("/p/.sagarun/server.sock")


@pytest.mark.usefixtures("temp")
@pytest.mark.parametrize(("length", "inside"), [(103, True), (104, False)])
def test_the_limit_counts_bytes(length, inside):
    bytes_left = length - len("//server.sock")
    home = ServerHome(Path("/" + "é" * (bytes_left // 2) + "x" * (bytes_left % 2)))
    assert socket_path(home).is_relative_to(home.path) == inside


def test_a_long_home_has_its_socket_in_the_login_s_runtime_folder(long_home, temp, monkeypatch):
    temp.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(temp))
    folder = socket_path(long_home).parent
    assert (folder, mode(folder)) == (temp / "sagarun", 0o700)


def test_a_runtime_folder_that_others_can_enter_is_not_used(long_home, temp, monkeypatch):
    (temp / "shared").mkdir()
    (temp / "shared").chmod(0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(temp / "shared"))
    assert socket_path(long_home).parent == temp / f"sagarun-{os.geteuid()}"


def test_without_a_runtime_folder_it_is_in_a_private_folder_in_tmp(long_home, temp):
    folder = socket_path(long_home).parent
    assert (folder, mode(folder)) == (temp / f"sagarun-{os.geteuid()}", 0o700)


def test_a_temp_folder_with_a_long_path_gives_way_to_tmp(long_home, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / ("c" * 90)))
    assert socket_path(long_home).parent == Path(f"/tmp/sagarun-{os.geteuid()}")


@pytest.mark.usefixtures("temp")
def test_two_long_homes_have_different_sockets(long_home):
    assert socket_path(long_home) != socket_path(ServerHome(long_home.path.with_name(".other")))


def test_a_folder_in_tmp_that_others_could_have_prepared_is_refused(long_home, temp):
    prepared = temp / f"sagarun-{os.geteuid()}"
    prepared.mkdir()
    prepared.chmod(0o777)
    with pytest.raises(ConfigError, match="only you can enter"):
        socket_path(long_home)


def test_a_link_in_tmp_is_refused(long_home, temp, tmp_path):
    (temp / f"sagarun-{os.geteuid()}").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="only you can enter"):
        socket_path(long_home)


# -- what is written down --------------------------------------------------------------------------------
def test_what_the_keeper_wrote_is_read_back(tmp_path):
    home = open_home(tmp_path)
    kept = Kept("host", 1, 2, "/s", "Valkey", "9.1.2", "strict")
    home.write_kept(kept)
    home.write_written(Written("Valkey", "9.1.2"))
    assert (home.read_kept(), home.read_written()) == (kept, Written("Valkey", "9.1.2"))


def test_before_anything_is_written_there_is_nothing(tmp_path):
    home = open_home(tmp_path)
    assert (home.read_kept(), home.read_written()) == (None, None)


def test_fields_of_a_newer_release_are_passed_over(tmp_path):
    home = open_home(tmp_path)
    (home.data / "engine.json").write_text('{"engine": "Valkey", "version": "9.1.2", "more": 1}')
    assert home.read_written() == Written("Valkey", "9.1.2")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"engine": 1, "version": "x"}'])
def test_a_damaged_record_is_named(tmp_path, text):
    home = open_home(tmp_path)
    (home.data / "engine.json").write_text(text)
    with pytest.raises(ConfigError, match=r"engine\.json is damaged"):
        home.read_written()


def test_a_log_that_has_grown_is_set_aside(tmp_path):
    home = open_home(tmp_path)
    home.log.write_bytes(b"x" * (server_home.MAX_LOG_BYTES + 1))
    os.close(start_log(home))
    assert (home.log.stat().st_size, (tmp_path / "server.log.1").exists()) == (0, True)


def test_the_end_of_the_log_is_what_came_after_the_offset(tmp_path):
    home = open_home(tmp_path)
    home.log.write_text("old\n" + "".join(f"line {i}\n\n" for i in range(20)))
    assert home.log_tail(4, lines=2) == "line 18\nline 19"
