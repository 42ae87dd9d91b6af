"""JUnit XML, which every CI system shows: a test case a file, which fails by its errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree  # for writing only

from runner.definition.problem import Problem

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def report(problems: Sequence[Problem], files: Sequence[Path]) -> Iterator[str]:
    """One document. Warnings are in a case's `system-out`: a case of warnings alone passes."""
    names = list(dict.fromkeys([*(str(file) for file in files), *(problem.file for problem in problems)]))
    suite = ElementTree.Element("testsuite", name="sagarun validate", errors="0", skipped="0", time="0")
    failed = 0
    for name in names:
        of_file = [problem for problem in problems if problem.file == name]
        errors = [problem for problem in of_file if problem.severity == "error"]
        case = ElementTree.SubElement(suite, "testcase", classname="sagarun.validate", name=_clean(name), time="0")
        if errors:
            failed += 1
            summary = str(errors[0]) if len(errors) == 1 else f"{len(errors)} errors"
            failure = ElementTree.SubElement(case, "failure", message=_clean(summary), type=errors[0].code)
            failure.text = _clean("\n".join(map(str, errors)))
        rest = [problem for problem in of_file if problem.severity != "error"]
        if rest:
            ElementTree.SubElement(case, "system-out").text = _clean("\n".join(map(str, rest)))
    suite.set("tests", str(len(names)))
    suite.set("failures", str(failed))
    suites = ElementTree.Element("testsuites", tests=str(len(names)), failures=str(failed), errors="0", time="0")
    suites.append(suite)
    ElementTree.indent(suites)
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield ElementTree.tostring(suites, encoding="unicode")


def _clean(text: str) -> str:
    return _NOT_XML.sub("?", text)
