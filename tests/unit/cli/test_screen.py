"""What reaches stdout and stderr."""

from __future__ import annotations

import errno
import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli.screen import Screen, json_text, styled
from tests.servers import PATIENCE_S

LINE = [("✓", "green"), (" done", "")]


def test_data_goes_to_stdout_and_notes_to_stderr(capsys: pytest.CaptureFixture[str]):
    screen = Screen()
    screen.data(LINE)
    screen.note("a note")
    assert capsys.readouterr() == ("✓ done\n", "a note\n")


def test_quiet_leaves_out_notes_only(capsys: pytest.CaptureFixture[str]):
    screen = Screen(quiet=True)
    screen.data("data")
    screen.note("a note")
    screen.error(["error: x"])
    assert capsys.readouterr() == ("data\n", "error: x\n")


def test_the_story_of_a_run_is_data_as_text_and_progress_beside_json(capsys: pytest.CaptureFixture[str]):
    Screen().story("a step")
    assert capsys.readouterr() == ("a step\n", "")
    Screen(format="json").story("a step")
    assert capsys.readouterr() == ("", "a step\n")


def test_a_piped_line_is_never_cut(capsys: pytest.CaptureFixture[str]):
    Screen().data("x" * 10_000)
    assert capsys.readouterr().out == "x" * 10_000 + "\n"


def test_on_a_terminal_a_very_long_line_is_cut_and_json_is_not():
    program = "from runner.cli.screen import Screen; s = Screen(); s.data([('input ', 'dim'), ('x' * 5_000, '')])"
    seen = on_a_terminal(program, COLUMNS="100")
    assert seen.count("x") == 8 * 100 - len("input ")
    assert "… (4,206 more characters" in seen
    assert on_a_terminal("from runner.cli.screen import Screen; Screen().json('x' * 5_000)").count("x") == 5_000


def test_json_is_one_line_and_keeps_unicode():
    assert json_text({"a": "ü\n", "b": [1, None]}) == '{"a":"ü\\n","b":[1,null]}'


def on_a_terminal(program: str, **environment: str) -> str:
    """What a program writes to a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=theirs, stderr=theirs, stdin=theirs,
        env={**os.environ, "TERM": "xterm", **environment},
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 4096):
            seen += piece
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait(PATIENCE_S) == 0, seen
    return seen.decode()


PROGRAM = "from runner.cli.screen import Screen; Screen({}).data([('done', 'green')])"


def test_a_terminal_gets_colours():
    assert "\x1b[32mdone" in on_a_terminal(PROGRAM.format(""))


@pytest.mark.parametrize(
    ("arguments", "environment"), [("", {"NO_COLOR": "1"}), ("no_color=True", {}), ("", {"TERM": "dumb"})]
)
def test_colours_can_be_refused(arguments: str, environment: dict[str, str]):
    assert on_a_terminal(PROGRAM.format(arguments), **environment) == "done\r\n"


def test_a_pipe_needs_no_rich():
    program = PROGRAM.format("") + "; import sys; assert 'rich' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_a_reader_that_went_away_is_no_error():
    program = (
        "import sys; from runner.cli.screen import Screen; s = Screen()\n"
        "for n in range(100_000): s.data('x' * 100)\n"
        "sys.stderr.write('went on')"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b"went on"
    assert process.wait(PATIENCE_S) == 0
    process.stderr.close()


def test_a_stream_that_was_closed_by_the_caller_is_no_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdout", None)
    Screen().data("nobody reads this")
    sys.stdout.close()


def test_a_terminal_that_cannot_show_a_sign_gets_a_question_mark(monkeypatch: pytest.MonkeyPatch):
    from runner.cli.screen import prepare_streams

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    prepare_streams()
    Screen().data(LINE)
    assert raw.getvalue() == b"? done\n"


class FullDisk(io.StringIO):
    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fileno(self) -> int:
        return self.spare

    spare = -1


def test_a_full_disk_is_told_once_and_ends_the_printing_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    from runner.cli import screen as module

    monkeypatch.setattr(module, "_lost", set())
    stream = FullDisk()
    stream.spare = os.open(tmp_path / "spare", os.O_WRONLY | os.O_CREAT)
    monkeypatch.setattr(sys, "stdout", stream)
    screen = Screen()
    screen.data("a line")
    screen.data("another line")
    assert capsys.readouterr().err == "error: stdout cannot be written: No space left on device\n"
    assert screen.is_gone
    assert module.something_was_lost()
    os.close(stream.spare)


def test_a_closed_stream_leaves_its_number_to_nobody():
    program = (
        "import os, sys; from runner.cli.screen import prepare_streams; prepare_streams()\n"
        "print(os.open('/', os.O_RDONLY) > 2, os.get_inheritable(2))"
    )
    shell = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" 2>&-', sys.executable, program], capture_output=True, text=True, check=True
    )
    assert shell.stdout == "True True\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a b:3:4: error[SR102]: no: x", [("a b:3:4: ", "bold"), ("error[SR102]:", "bold red"), (" no: x", "")]),
        ("a.yaml:3:4: warning[SR219]: no", [("a.yaml:3:4: ", "bold"), ("warning[SR219]:", "yellow"), (" no", "")]),
        ("  | ^^ a hint", [("  | ", ""), ("^^", "bold cyan"), (" a hint", "cyan")]),
        ("3 |   error[SR102]: ^", [("3 |   error[SR102]: ^", "")]),
        ("hint: do it", [("hint:", "cyan"), (" do it", "")]),
    ],
)
def test_findings_errors_and_hints_are_coloured(line: str, expected: list[tuple[str, str]]):
    assert styled(line) == expected
