"""The group of commands: what starts when, what a wrong word gets, and what each ending is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from runner import errors
from runner.cli import failure, main
from runner.cli.failure import Exit

HEAVY = {"redis", "jinja2", "jsonschema", "jsonschema_rs", "pydantic", "rich", "yaml", "asyncio", "httpx"}


def loaded_by(*arguments: str) -> set[str]:
    program = f"import sys; from runner.cli.main import invoke; invoke({list(arguments)!r}); print('|', *sys.modules)"
    report = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(report.stdout.rpartition("|")[2].split())


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("run", "--help"), ("rnu",)])
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]):
    loaded = loaded_by(*arguments)
    assert "click" in loaded
    assert loaded & HEAVY == set()


def test_every_command_has_the_summary_that_the_group_prints():
    context = click.Context(main.group)
    for name, summary in main.SUMMARIES.items():
        command = main.group.get_command(context, name)
        assert command is not None
        assert command.short_help == summary, name


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The arguments of every `run`, which does nothing."""
    seen: list[list[str]] = []

    @click.command(context_settings={"ignore_unknown_options": True})
    @click.argument("words", nargs=-1)
    def command(words: tuple[str, ...]) -> None:
        seen.append(list(words))

    monkeypatch.setattr("runner.cli.commands.run.command", command)
    return seen


@pytest.mark.parametrize(
    "arguments", [["order.yaml"], ["a/b.yml", "--case", "x"], ["-"], ["--redis-url", "redis://x", "order.yaml"]]
)
def test_a_definition_stands_for_run(ran: list[list[str]], arguments: list[str]):
    assert main.invoke(arguments) == 0
    (words,) = ran
    assert words[0] in ("order.yaml", "a/b.yml", "-")


def test_an_unknown_word_gets_a_suggestion(capsys: pytest.CaptureFixture[str]):
    assert main.invoke(["rnu"]) == Exit.USAGE
    assert capsys.readouterr().err == (
        'error: there is no command "rnu". Did you mean "run"?\nhint:  sagarun --help\n'
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [("--inptu", ' Did you mean "--input"?'), ("--bogus", ""), ("--queit", ' Did you mean "--quiet"?')],
)
def test_an_unknown_option_gets_a_suggestion_if_one_is_like_it(
    capsys: pytest.CaptureFixture[str], given: str, said: str
):
    assert main.invoke(["run", "x.yaml", given]) == Exit.USAGE
    assert capsys.readouterr().err == f"error: no such option '{given}'.{said}\nhint:  sagarun run --help\n"


def test_the_name_of_a_definition_is_known_for_what_it_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions/trip.yaml").touch()
    monkeypatch.chdir(tmp_path)
    assert main.invoke(["trip"]) == Exit.USAGE
    assert 'there is no command "trip". Did you mean "run trip"?' in capsys.readouterr().err


def test_no_word_at_all_gets_the_help(capsys: pytest.CaptureFixture[str]):
    assert main.invoke([]) == Exit.USAGE
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == "Usage: sagarun [OPTIONS] COMMAND [ARGS]..."
    assert "Run:" in rest


ENDINGS = [
    (errors.UsageError("x"), 2),
    (errors.ConfigError("x"), 2),
    (errors.RunNotFound("x"), 2),
    (errors.ServerRefused("x"), 2),
    (errors.InputError(["x"]), 1),
    (errors.DefinitionError(["x"]), 1),
    (errors.RunConflict("x"), 1),
    (errors.VerbRefused("x"), 1),
    (errors.StoreUnavailable("x"), 6),
    (errors.RecordTampered("x"), 70),
    (ZeroDivisionError("x"), 70),
    (PermissionError(13, "Permission denied", "/etc/shadow"), 2),
    (PermissionError(13, "Permission denied"), 70),
    (OSError(5, "Input/output error", "/x"), 70),
    (KeyboardInterrupt(), 130),
    (click.Abort(), 130),
]


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # where a traceback is left

    def prepare(error: BaseException) -> None:
        @click.command()
        def command() -> None:
            raise error

        monkeypatch.setattr("runner.cli.commands.list.command", command)

    return prepare


@pytest.mark.parametrize(("error", "code"), ENDINGS, ids=lambda value: type(value).__name__)
def test_every_error_has_its_exit_code(raising, error: BaseException, code: int):
    if isinstance(error, errors.DefinitionError):
        error = errors.DefinitionError([])
    raising(error)
    assert main.invoke(["list"]) == code


def test_an_unexpected_error_is_short_and_says_where_its_traceback_is(raising, capsys: pytest.CaptureFixture[str]):
    raising(ZeroDivisionError("division by zero\nand more"))
    main.invoke(["list"])
    err = capsys.readouterr().err
    assert "Traceback" not in err
    first, second = err.splitlines()
    assert first == "error: sagarun failed: ZeroDivisionError: division by zero"
    with open(second.rpartition(" ")[2], encoding="utf-8") as file:  # noqa: PTH123
        assert "Traceback (most recent call last)" in file.read()


def test_a_file_that_the_system_refuses_is_named_and_no_bug(raising, capsys: pytest.CaptureFixture[str]):
    raising(PermissionError(13, "Permission denied", "/srv/shop/order.yaml"))
    main.invoke(["list"])
    first, second = capsys.readouterr().err.splitlines()
    assert first == "error: /srv/shop/order.yaml: Permission denied"
    assert "rights" in second


def test_every_problem_of_an_input_has_a_line(raising, capsys: pytest.CaptureFixture[str]):
    raising(errors.InputError(["a: is wrong", "b: is missing"]))
    main.invoke(["list"])
    assert capsys.readouterr().err.splitlines()[:3] == [
        "error: the input does not fit the schema", "  a: is wrong", "  b: is missing",
    ]  # fmt: skip


def test_every_final_status_has_an_exit_code():
    from runner.interpreter.state import TERMINAL

    assert failure.EXIT_BY_STATUS.keys() == {status.value for status in TERMINAL} | {"stuck"}


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("sagarun vali", "plain,validate"),
        ("sagarun definitions/or", "file,definitions/or"),
        ("sagarun run definitions/or", "file,definitions/or"),
        ("sagarun run --cas", "plain,--case"),
        ("sagarun workers exp", "plain,export"),
    ],
)
def test_a_shell_completes_commands_options_and_files(words: str, offered: str):
    program = "import sys; sys.argv[0] = 'sagarun'; from runner.cli.main import main; main()"
    given = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_SAGARUN_COMPLETE": "bash_complete"}
    answer = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **given}, capture_output=True, text=True, check=True
    )
    assert offered in answer.stdout.splitlines()
    assert answer.stderr == ""
