"""Which files a definition may make sagarun read."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from runner.definition.project_file import MAX_FILES, MAX_TOTAL_BYTES, FileRefused, ProjectFiles
from runner.errors import DefinitionError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "definitions").mkdir(parents=True)
    (root / "schemas").mkdir()
    (root / "schemas" / "a.json").write_text('{"type": "object"}')
    (tmp_path / "outside.json").write_text("{}")
    return root


def read(root: Path, reference: str) -> object:
    files = ProjectFiles(root)
    return files.read(files.locate(reference, root / "definitions"))


def test_a_file_beside_the_definitions_is_read(root: Path) -> None:
    assert read(root, "../schemas/a.json") == {"type": "object"}


@pytest.mark.parametrize(
    "reference",
    [
        "../../outside.json",
        "../schemas/../../outside.json",
        "http://example.com/a.json",
        "https://example.com/a.json",
        "file:///etc/passwd",
        "FILE:a.json",
        "//example.com/a.json",
        "\\\\host\\share\\a.json",
        "C:\\a.json",
        "..\\schemas\\a.json",
        "/etc/passwd",
        "/proc/self/environ",
        "~/a.json",
        "a\0.json",
        "a\n.json",
        "",
        "../schemas",
        "../schemas/missing.json",
        "x" * 5000,
        f"{'x' * 5000}/a.json",
    ],
)
def test_nothing_else_is_read(root: Path, reference: str) -> None:
    with pytest.raises(FileRefused):
        read(root, reference)


def test_a_link_out_of_the_project_is_refused(root: Path) -> None:
    (root / "schemas" / "link.json").symlink_to(root.parent / "outside.json")
    (root / "schemas" / "folder").symlink_to(root.parent)
    for reference in ("../schemas/link.json", "../schemas/folder/outside.json"):
        with pytest.raises(FileRefused, match="outside the project root"):
            read(root, reference)


def test_a_link_within_the_project_is_followed(root: Path) -> None:
    (root / "schemas" / "link.json").symlink_to("a.json")
    assert read(root, "../schemas/link.json") == {"type": "object"}


def test_a_project_behind_a_link_is_a_project(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    assert read(link, "../schemas/a.json") == {"type": "object"}


def test_a_link_to_itself_is_refused(root: Path) -> None:
    (root / "schemas" / "loop.json").symlink_to("loop.json")
    with pytest.raises(FileRefused, match="cannot be read"):
        read(root, "../schemas/loop.json")


def test_a_link_put_in_place_after_the_check_is_refused(root: Path) -> None:
    files = ProjectFiles(root)
    path = files.locate("../schemas/a.json", root / "definitions")
    path.unlink()
    path.symlink_to(root.parent / "outside.json")
    with pytest.raises(FileRefused, match="cannot be read"):
        files.read(path)


def test_a_pipe_is_refused_and_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "schemas" / "pipe.json")
    started = time.thread_time()
    with pytest.raises(FileRefused, match="not a regular file"):
        read(root, "../schemas/pipe.json")
    assert time.thread_time() - started < 1


def test_files_have_2_mib_together(root: Path) -> None:
    half = MAX_TOTAL_BYTES // 2
    (root / "b.json").write_text(json.dumps("x" * (half - 2)))
    (root / "c.json").write_text(json.dumps("x" * (half - 2)))
    (root / "d.json").write_text("1")
    files = ProjectFiles(root)
    for name in ("b.json", "c.json"):
        files.read(files.locate(name, root))
    with pytest.raises(FileRefused, match="2,048 KiB"):
        files.read(files.locate("d.json", root))


def test_100_files_are_read_and_101_are_not(root: Path) -> None:
    files = ProjectFiles(root)
    for number in range(MAX_FILES + 1):
        (root / f"{number}.json").write_text("{}")
    for number in range(MAX_FILES):
        files.read(files.locate(f"{number}.json", root))
    files.read(files.locate("0.json", root))
    with pytest.raises(FileRefused, match="more than 100 files"):
        files.read(files.locate(f"{MAX_FILES}.json", root))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1, column 2"),
        ('{"a": 1, "a": 2}', 'the key "a" is here twice'),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": -Infinity}', "-Infinity is not JSON"),
        ('"\\ud800"', "surrogate"),
        ("[" * 65 + "]" * 65, "nested more than 64 deep"),
        ("[" * 500_000, "nested more than 64 deep"),
        ("1" * 5000, "limit"),
        ("\xff\xfe", "not UTF-8"),
    ],
)
def test_what_is_not_json_of_ours_is_refused(root: Path, text: str, message: str) -> None:
    (root / "bad.json").write_text(text, encoding="latin-1")
    with pytest.raises(FileRefused, match=message):
        read(root, "../bad.json")


def test_64_levels_of_json_are_read(root: Path) -> None:
    (root / "deep.json").write_text("[" * 63 + "1" + "]" * 63)
    assert read(root, "../deep.json")
    (root / "deep.json").write_text("[" * 64 + "]" * 64)
    assert read(root, "../deep.json")


def test_a_yaml_file_is_read_under_the_rules_of_definitions(root: Path) -> None:
    (root / "a.yaml").write_text("type: object\n")
    assert read(root, "../a.yaml") == {"type": "object"}
    (root / "a.yaml").write_text("a: !!str x\n")
    with pytest.raises(DefinitionError, match=r"^a.yaml:1:4: error\[SR007\]"):
        read(root, "../a.yaml")


def test_a_misspelt_name_is_told_what_is_there(root: Path) -> None:
    (root / "schemas" / "order.schema.json").write_text("{}")
    with pytest.raises(FileRefused) as refused:
        read(root, "../schemas/oder.schema.json")
    assert refused.value.hint == 'did you mean "order.schema.json"?'
