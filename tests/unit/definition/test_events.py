"""The limits of YAML, each at its edge, and what is refused."""

from __future__ import annotations

import time

import pytest

from runner.definition.events import MAX_DEPTH, MAX_NODES, build


def code_of(text: str) -> str:
    flaws = build(text).flaws
    return flaws[0].code if flaws else ""


def test_64_levels_are_built_and_65_are_not() -> None:
    assert code_of("[" * MAX_DEPTH + "]" * MAX_DEPTH) == ""
    assert code_of("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)) == "SR003"


def test_block_nesting_counts_as_flow_nesting_does() -> None:
    assert code_of("- " * MAX_DEPTH + "x") == ""
    assert code_of("- " * (MAX_DEPTH + 1) + "x") == "SR003"


def test_an_alias_adds_the_depth_of_what_it_stands_for() -> None:
    inner = "[" * 40 + "]" * 40
    assert code_of(f"a: &deep {inner}\nb: {'[' * 23}*deep{']' * 23}") == ""
    assert code_of(f"a: &deep {inner}\nb: {'[' * 24}*deep{']' * 24}") == "SR003"


def test_10_000_nodes_are_built_and_10_001_are_not() -> None:
    def items(nodes: int) -> str:
        return f"[{','.join(['x'] * (nodes - 1))}]"

    assert code_of(items(MAX_NODES)) == ""
    assert code_of(items(MAX_NODES + 1)) == "SR004"


def test_an_alias_counts_as_all_its_nodes() -> None:
    anchored = "a: &a [" + ",".join(["x"] * 998) + "]\n"  # 999 nodes, and 1 for its key
    repeated = "b: [" + ",".join(["*a"] * 9) + "]\n"  # 9 × 999, 1 for the key, 1 for the list
    assert code_of(anchored + repeated) == ""  # 1 + 1000 + 8993 = 9994
    assert code_of(anchored + repeated + "c: [1,2,3,4]\n") == ""  # 10,000
    assert code_of(anchored + repeated + "c: [1,2,3,4,5]\n") == "SR004"


def test_an_alias_bomb_is_refused_before_it_is_built() -> None:
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    bomb += "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    started = time.thread_time()
    assert code_of(bomb) == "SR004"
    assert time.thread_time() - started < 1


@pytest.mark.parametrize("unit", ["[", "{", "[a,", "- ", "? ", "a: ["])
def test_deep_nesting_ends_at_once_and_does_not_end_the_process(unit: str) -> None:
    started = time.thread_time()
    assert code_of(unit * (250_000 // len(unit))) in ("SR003", "SR008", "SR001")
    assert time.thread_time() - started < 1


def test_an_alias_within_its_own_anchor_is_refused() -> None:
    assert code_of("a: &a [1, *a]") == "SR011"


def test_an_alias_without_an_anchor_is_refused() -> None:
    assert code_of("a: *nothing") == "SR011"


def test_an_anchor_can_be_set_again() -> None:
    assert build("a: &x 1\nb: *x\nc: &x 2\nd: *x").value == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_an_alias_can_be_a_key_if_it_is_text() -> None:
    assert build("a: &x name\n*x : 1").value == {"a": "name", "name": 1}
    assert code_of("a: &x [1]\n*x : 1") == "SR008"


@pytest.mark.parametrize("key", ["1", "true", "null", "~", "1.5", "[a]", "{a: 1}", "? [a]\n", "&x [1]"])
def test_a_key_that_is_not_text_is_refused(key: str) -> None:
    assert code_of(f"{key}: 1") == "SR008"


@pytest.mark.parametrize("key", ['"1"', "on", "no", "12:30x", "'true'", "2024-05-01"])
def test_a_key_that_is_text_is_kept(key: str) -> None:
    assert list(build(f"{key}: 1").value) == [key.strip("'\"")]


def test_keys_cannot_make_pointers_huge() -> None:
    long = "k" * 900
    assert code_of(f"? {long}\n: {{{long}: 1}}") == ""
    assert code_of(f"? {long}\n: {{? {long} : {{{long}: [1, 2]}}}}") == "SR008"


def test_a_repeated_key_is_refused_also_when_it_is_written_differently() -> None:
    assert code_of("a: 1\n'a': 2") == "SR005"
    assert code_of('a: 1\n"\\x61": 2') == "SR005"


@pytest.mark.parametrize("merge", ["<<: {a: 1}", "<<: [*x]", "b: {<<: *x}"])
def test_merge_keys_are_refused(merge: str) -> None:
    assert code_of(f"x: &x {{a: 1}}\n{merge}") == "SR006"


def test_a_quoted_merge_key_is_a_key() -> None:
    assert build('"<<": 1').value == {"<<": 1}


@pytest.mark.parametrize(
    "tag", ["!!str 1", "!local 1", "! 1", "!!python/object:os.system {}", "!!set {a}", "!!omap []"]
)
def test_tags_are_refused(tag: str) -> None:
    assert code_of(f"a: {tag}") == "SR007"


def test_all_independent_flaws_are_found_at_once() -> None:
    flaws = build("a: True\nb: !!str x\na: 1\n2: x\n").flaws
    assert [flaw.code for flaw in flaws] == ["SR010", "SR007", "SR005", "SR008"]


def test_a_second_document_is_refused() -> None:
    assert code_of("a: 1\n---\nb: 2") == "SR009"
    assert code_of("---\na: 1\n...\n") == ""


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~"])
def test_an_empty_document_is_null(text: str) -> None:
    built = build(text)
    assert (built.value, built.flaws) == (None, [])


@pytest.mark.parametrize(
    "text", ["a: [1", "a:\n\t- b", "a: 'x", "a: b: c", "a: @x", "a: \x00", "a: \x1b[0m", 'a: "\\ud800"']
)
def test_what_is_not_yaml_is_a_flaw_with_a_place(text: str) -> None:
    built = build(text)
    assert built.flaws[-1].code == "SR001"
    assert 0 <= built.flaws[-1].start <= len(text)
