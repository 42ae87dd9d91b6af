"""What holds for a command, and where it is from."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from runner.cli.options import shared_options
from runner.cli.settings import Settings, settings
from runner.errors import ConfigError


@pytest.fixture
def resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The settings of a command with these arguments, before and after its name."""
    monkeypatch.chdir(tmp_path)
    for name in ("SAGARUN_REDIS_URL", "SAGARUN_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def resolve(before: list[str], after: list[str]) -> Settings:
        seen: list[Settings] = []

        @click.group()
        @shared_options
        def group() -> None: ...

        @group.command()
        @shared_options
        def command() -> None:
            seen.append(settings())

        answer = CliRunner().invoke(group, [*before, "command", *after], catch_exceptions=False)
        assert answer.exit_code == 0, answer.output
        return seen[0]

    return resolve


def test_without_anything_the_defaults_hold(resolve, tmp_path: Path):
    found = resolve([], [])
    assert (found.redis_url, found.format, found.project.root) == (None, "text", tmp_path)
    assert found.origins == {"config": "none", "redis_url": "default", "project": "default"}


def test_flag_environment_and_file_in_this_order(resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "sagarun.yaml").write_text("redis_url: redis://file\n")
    assert resolve([], []).redis_url == "redis://file"
    monkeypatch.setenv("SAGARUN_REDIS_URL", "redis://environment")
    assert resolve([], []).redis_url == "redis://environment"
    assert resolve(["--redis-url", "redis://flag"], []).redis_url == "redis://flag"
    assert resolve([], ["--redis-url", "redis://flag"]).origins["redis_url"] == "flag"


def test_a_flag_after_the_command_wins_over_one_before_it(resolve):
    assert resolve(["--format", "json"], ["--format", "jsonl"]).format == "jsonl"
    assert resolve(["--format", "json"], []).format == "json"


def test_flags_without_a_value_hold_from_either_side(resolve):
    assert resolve(["-q"], []).screen.quiet
    assert resolve([], ["--no-color", "-v"]).screen.no_color


def test_the_settings_file_may_be_named(resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/x.yaml").write_text("project: other\n")
    assert resolve(["--config", "other/x.yaml"], []).project.name == "other"
    monkeypatch.setenv("SAGARUN_CONFIG", "other/x.yaml")
    found = resolve([], [])
    assert (found.project.name, found.origins["config"]) == ("other", "environment")


def test_a_settings_file_that_is_not_there_is_told(resolve):
    with pytest.raises(ConfigError, match="no settings file"):
        resolve(["--config", "nowhere.yaml"], [])
