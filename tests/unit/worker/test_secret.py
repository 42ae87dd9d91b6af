"""Secrets by reference: where they are read, what is said when they are not there, and how answers are searched."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.worker.secret import SecretMissing, SecretSource, read_secret

CANARY = "kanarienvogel-4711/+?"


def test_one_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("API_TOKEN", CANARY)
    assert read_secret("TOKEN", {"TOKEN": SecretSource(env="API_TOKEN")}, ".") == CANARY


def test_one_is_read_from_a_file_of_the_project_and_read_again_when_it_changes(tmp_path: Path):
    sources = {"TOKEN": SecretSource(file="secrets/token")}
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/token").write_text(f"{CANARY}\n")
    assert read_secret("TOKEN", sources, str(tmp_path)) == CANARY
    (tmp_path / "secrets/token").write_text("rotated\n")
    assert read_secret("TOKEN", sources, str(tmp_path)) == "rotated"


def refusal(source: SecretSource | None, root: Path) -> str:
    with pytest.raises(SecretMissing) as raised:
        read_secret("TOKEN", {"TOKEN": source} if source else {"OTHER": SecretSource(env="X")}, str(root))
    return str(raised.value)


def test_a_name_that_nobody_knows_is_told_with_those_that_there_are(tmp_path: Path):
    assert "no secret 'TOKEN'" in refusal(None, tmp_path)
    assert "OTHER" in refusal(None, tmp_path)


def test_one_that_is_not_there_is_told_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("API_TOKEN", raising=False)
    assert refusal(SecretSource(env="API_TOKEN"), tmp_path).startswith("the environment variable API_TOKEN")
    told = refusal(SecretSource(file="missing"), tmp_path)
    assert told == "the file missing cannot be read: No such file or directory"


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"abc", b"two\nlines", b"\xff\xfe..", "käse".encode(), b"x" * 20_000, b"a\0b."]
)
def test_what_cannot_be_one_is_refused_without_telling_it(tmp_path: Path, data: bytes):
    (tmp_path / "token").write_bytes(data)
    told = refusal(SecretSource(file="token"), tmp_path)
    assert "abc" not in told
    assert "two" not in told
    assert "k\xe4se" not in told
