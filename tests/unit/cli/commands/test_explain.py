"""`sagarun explain`: a code in any spelling, all of them, and one that there is not."""

from __future__ import annotations

import json

import pytest

from runner.cli.checking.explanations import Example, read_page
from runner.cli.main import invoke


@pytest.mark.parametrize("code", ["SR204", "sr204", "204"])
def test_a_code_is_explained_with_both_examples(code: str, capsys: pytest.CaptureFixture[str]):
    assert invoke(["explain", code]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "SR204  No such step before this one"
    assert "wrong:" in lines
    assert "right:" in lines


def test_json_has_the_examples_as_data(capsys: pytest.CaptureFixture[str]):
    invoke(["explain", "SR117", "--format", "json"])
    told = json.loads(capsys.readouterr().out)
    assert [example["file"] for example in told["right"]] == ["example.yaml", "payment.yaml"]


def test_without_a_code_all_are_listed(capsys: pytest.CaptureFixture[str]):
    assert invoke(["explain"]) == 0
    assert "SR001  The file cannot be read as YAML\n" in capsys.readouterr().out


def test_an_unknown_code_is_a_usage_error(capsys: pytest.CaptureFixture[str]):
    assert invoke(["explain", "SR2044"]) == 2
    assert 'no code "SR2044". Did you mean "SR204"?' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        ("- {wait: 5s}\n", "workflow: example\nversion: 1.0.0\nsteps:\n  - {wait: 5s}\n"),
        ("steps: []\n", "workflow: example\nversion: 1.0.0\nsteps: []\n"),
        ("workflow: a\n", "workflow: a\n"),
        ("definition: a.yaml\n", "definition: a.yaml\n"),
    ],
)
def test_what_a_page_leaves_out_is_filled_in(shown: str, text: str):
    assert Example("example.yaml", shown).text == text


def test_a_page_without_its_title_is_none():
    with pytest.raises(ValueError, match="# CODE: title"):
        read_page("SR204\n")
