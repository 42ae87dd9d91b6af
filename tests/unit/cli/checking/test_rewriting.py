"""Files that a command writes anew: whole or not at all, with their rights, and never over somebody else's work."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.cli.checking.rewriting import diff_lines, read_original
from runner.errors import ConfigError


def test_a_file_keeps_its_rights_its_byte_order_mark_and_its_line_ends(tmp_path: Path):
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\n")
    file.chmod(0o640)
    original = read_original(file)
    original.write(original.text.replace("1", "2"))
    assert file.read_bytes() == b"\xef\xbb\xbfa: 2\r\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path: Path):
    file, link = tmp_path / "a.yaml", tmp_path / "b.yaml"
    file.write_text("a")
    link.symlink_to(file)
    read_original(link).write("b")
    assert link.is_symlink()
    assert file.read_text() == "b"


def test_what_was_changed_meanwhile_is_left_alone(tmp_path: Path):
    file = tmp_path / "a.yaml"
    file.write_text("a")
    original = read_original(file)
    file.write_text("theirs")
    with pytest.raises(ConfigError, match="changed by somebody else"):
        original.write("ours")
    assert file.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [file]


def test_a_diff_says_where_the_last_line_does_not_end():
    assert list(diff_lines("a\nb", "a\nc\n", "f")) == [
        "--- f", "+++ f", "@@ -1,2 +1,2 @@", " a", "-b\n\\ No newline at end of file", "+c",
    ]
