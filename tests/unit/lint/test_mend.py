"""What `--fix` may change: words that cannot have been meant otherwise, and nothing else of the text."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

import pytest

from runner.definition.problem import Problem
from runner.lint.checked import check_file
from runner.lint.mend import Mended, mend

GOLDEN = Path(__file__).parents[2] / "golden"
CONTRACTS = json.loads((GOLDEN / "workers.json").read_text())
HEAD = "workflow: a\nversion: 1.0.0\n"
CHARGE = (
    "  - id: charge\n    worker: payments.charge\n    with: {payment_ref: \"{{ step.ref }}\", amount: 1, token: t}\n"
    "    raises: [card_declined]\n"
    "    compensate: {worker: payments.refund, with: {payment_ref: \"{{ step.ref }}\"}}\n"
)


def mended(text: str, tmp_path: Path) -> Mended:
    path = tmp_path / "a.yaml"

    def check(text: str) -> list[Problem]:
        return check_file(path, root=tmp_path, contracts=CONTRACTS, text=text)[1]

    return mend(text, str(path), check(text), check)


def words(done: Mended) -> list[tuple[str, str]]:
    return [(each.old, each.new) for each in done.corrections]


def test_a_misspelt_key_is_mended_and_its_comment_and_value_stay(tmp_path: Path) -> None:
    done = mended(f"{HEAD}stpes: # in order\n  - fail:  {{error: x}}\n", tmp_path)
    assert done.text == f"{HEAD}steps: # in order\n  - fail:  {{error: x}}\n"
    assert done.problems == []


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_key_keeps_its_quotes(tmp_path: Path, quote: str) -> None:
    done = mended(f"{HEAD}{quote}stpes{quote}: [{{fail: {{error: x}}}}]\n", tmp_path)
    assert done.text == f"{HEAD}{quote}steps{quote}: [{{fail: {{error: x}}}}]\n"


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("{{ steps.chrage.output.payment_id }}", "{{ steps.charge.output.payment_id }}"),
        ("{{ steps.charge.outptu.payment_id }}", "{{ steps.charge.output.payment_id }}"),
        ("{{ steps.charge.output.paymnet_id }}", "{{ steps.charge.output.payment_id }}"),
        ("no. {{ stpes.charge.output.payment_id }}", "no. {{ steps.charge.output.payment_id }}"),
        ("{{ steps['chrage'].output.payment_id }}", "{{ steps['charge'].output.payment_id }}"),
    ],
)
def test_a_word_in_an_expression_is_mended_in_its_place(tmp_path: Path, wrong: str, right: str) -> None:
    text = f'{HEAD}steps:\n{CHARGE}output: {{id: "{wrong}"}}\n'
    assert mended(text, tmp_path).text == text.replace(wrong, right)


def test_in_a_folded_text_the_right_one_of_two_places_is_mended(tmp_path: Path) -> None:
    text = f"{HEAD}steps:\n{CHARGE}output:\n  id: >-\n    chrage:\n    {{{{ steps.chrage.output.payment_id }}}}\n"
    assert mended(text, tmp_path).text == text.replace("steps.chrage", "steps.charge")


def test_behind_a_slip_another_one_is_found(tmp_path: Path) -> None:
    text = f"{HEAD}steps:\n{CHARGE.replace('worker: payments.charge', 'wroker: payments.chrage')}"
    done = mended(text, tmp_path)
    assert words(done) == [("wroker", "worker"), ("payments.chrage", "payments.charge")]
    assert done.problems == []


def test_in_a_step_that_does_something_no_other_action_is_meant(tmp_path: Path) -> None:
    wrong = CHARGE.replace("    with:", "    wiith:")
    assert words(mended(f"{HEAD}steps:\n{wrong}", tmp_path)) == [("wiith", "with")]  # and not wait


def test_an_argument_and_a_choice_are_mended(tmp_path: Path) -> None:
    wrong = CHARGE.replace("token:", "tokne:").replace("raises:", "on_unknown: halt_\n    raises:")
    assert words(mended(f"{HEAD}steps:\n{wrong}", tmp_path)) == [("halt_", "halt"), ("tokne", "token")]


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}stpes: []\nstesp: []\n",  # both cannot be it
        f"{HEAD}steps:\n{CHARGE}    wiht: {{}}\n",  # it is there already
        f"{HEAD}steps:\n  - {{id: a, call: payments.charge}}\n",  # another language's word is no slip
        f"{HEAD}steps:\n  - {{id: a, raise: {{error: x}}}}\n",  # nor is one that looks like one of ours
        f"{HEAD}use: {{errors: {{card_declnied: {{title: x}}}}}}\nsteps:\n{CHARGE}",  # which one is wrong?
    ],
)
def test_where_there_is_a_doubt_nothing_is_changed(tmp_path: Path, text: str) -> None:
    done = mended(text, tmp_path)
    assert (done.text, done.corrections) == (text, ())
    assert done.problems != []


def test_where_the_definition_may_be_what_is_misspelt_nothing_is_changed(tmp_path: Path) -> None:
    text = f"{HEAD}steps:\n{CHARGE.replace('id: charge', 'id: chrage')}"
    assert mended(f'{text}output: {{id: "{{{{ steps.charge.output.payment_id }}}}"}}\n', tmp_path).corrections == ()


def test_one_that_does_not_help_is_taken_back(tmp_path: Path) -> None:
    problem = Problem("a", 1, 1, "SR102", "unknown", length=1, instead="b")
    other = Problem("a", 2, 1, "SR102", "unknown, too", length=1, instead="d")
    done = mend("a\nc\n", "a", [problem, other], lambda text: [problem] if "d" in text else [problem, other])
    assert (done.text, words(done), done.problems) == ("a\nd\n", [("c", "d")], [problem])


def test_what_is_wrong_with_another_file_is_not_mended_here() -> None:
    elsewhere = Problem("b", 1, 1, "SR102", "unknown", length=1, instead="b")
    assert mend("a\n", "a", [elsewhere], lambda _: []).text == "a\n"


@pytest.mark.parametrize("path", sorted((GOLDEN / "err").glob("*.yaml")), ids=lambda path: path.stem)
def test_of_every_wrong_definition_only_the_words_change_that_are_said(path: Path) -> None:
    def check(text: str) -> list[Problem]:
        return check_file(path, root=GOLDEN, contracts=CONTRACTS, text=text)[1]

    text = path.read_bytes().decode(errors="replace")
    before = check(text)
    done = mend(text, str(path), before, check)
    matcher = difflib.SequenceMatcher(None, text, done.text, autojunk=False) if done.corrections else None
    changed = sum(tag != "equal" for tag, *_ in matcher.get_opcodes()) if matcher else 0
    assert changed <= sum(max(len(each.old), len(each.new)) for each in done.corrections)
    assert done.text.count("\n") == text.count("\n")
    assert {each.problem.code for each in done.corrections} <= {problem.code for problem in before} | {"SR216"}
    assert mend(done.text, str(path), done.problems, check).corrections == ()
