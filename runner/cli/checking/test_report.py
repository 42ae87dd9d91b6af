"""The results of `sagarun test`, printed: lines as they come, or one document at the end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree  # for writing only

from runner.cli.checking.problems import full
from runner.cli.wording import duration, seconds

if TYPE_CHECKING:
    from runner.cli.commands.test import CaseResult, Report
    from runner.cli.settings import Settings
    from runner.definition.problem import Problem

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WIDTH = 40  # of the names


def file_head(file: Path, chosen: Settings) -> None:
    if chosen.format == "text" and not chosen.screen.quiet:
        chosen.screen.data([(str(file), "bold")])


def file_problems(file: Path, problems: list[Problem], chosen: Settings) -> None:
    if chosen.format != "text":
        return
    chosen.screen.data([(str(file), "bold")])
    for line in full(problems, chosen.project.root)[:-1]:
        chosen.screen.data(f"  {line}")


def case(result: CaseResult, chosen: Settings) -> None:
    if chosen.format != "text" or (result.passed and chosen.screen.quiet):
        return
    symbol, style = ("✓", "green") if result.passed else ("✗", "red")
    took = duration(result.seconds * 1_000)
    later = f"  {duration(result.run_ms)} in the run" if result.run_ms and result.run_ms >= 1_000 else ""
    name = result.name if not chosen.screen.quiet else f"{result.file}: {result.name}"
    chosen.screen.data([(f"  {symbol} ", style), (f"{name:<{_WIDTH}}", ""), (f" {took:>8}", "dim"), (later, "dim")])
    for miss in result.misses:
        chosen.screen.data([(f"      {miss}", "red")])
    for label, line in zip(("what happened", "", ""), result.story, strict=False):
        chosen.screen.data([(f"      {label:<13}  {line}", "dim")])


def end(report: Report, took_s: float, chosen: Settings) -> None:
    passed = sum(result.passed for result in report.results)
    match chosen.format:
        case "json":
            chosen.screen.json(_document(report, took_s))
        case "junit":
            for line in _junit(report, took_s):
                chosen.screen.data(line)
        case _:
            counted = [f"{report.failed} failed"] if report.failed else []
            counted += [f"{passed} passed"] if passed or not report.failed else []
            chosen.screen.data(f"{', '.join(counted)} in {seconds(took_s * 1_000)}")


def _document(report: Report, took_s: float) -> dict[str, object]:
    cases = [{**asdict(result), "passed": result.passed} for result in report.results]
    problems = [asdict(problem) for found in report.problems.values() for problem in found]
    passed = sum(result.passed for result in report.results)
    return {"passed": passed, "failed": report.failed, "seconds": took_s, "cases": cases, "problems": problems}


def _junit(report: Report, took_s: float) -> Iterator[str]:
    """A suite a file. A file with problems is one failed case."""
    total = len(report.results) + len(report.problems)
    counts = {"tests": str(total), "failures": str(report.failed), "errors": "0", "time": f"{took_s:.3f}"}
    suites = ElementTree.Element("testsuites", counts)
    for file in dict.fromkeys([*(result.file for result in report.results), *report.problems]):
        results = [result for result in report.results if result.file == file]
        broken = report.problems.get(file, [])
        failures = sum(not result.passed for result in results) + bool(broken)
        suite = ElementTree.SubElement(
            suites, "testsuite", name=_clean(file), tests=str(len(results) + bool(broken)), failures=str(failures),
            errors="0", skipped="0", time=f"{sum(result.seconds for result in results):.3f}",
        )  # fmt: skip
        for result in results:
            element = ElementTree.SubElement(
                suite, "testcase", classname=_clean(file), name=_clean(result.name), time=f"{result.seconds:.3f}"
            )
            if not result.passed:
                _fail(element, result.misses[0], "\n".join([*result.misses, *result.story]))
        if broken:
            element = ElementTree.SubElement(suite, "testcase", classname=_clean(file), name="definition", time="0")
            _fail(element, str(broken[0]), "\n".join(map(str, broken)))
    ElementTree.indent(suites)
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield ElementTree.tostring(suites, encoding="unicode")


def _fail(element: ElementTree.Element, message: str, text: str) -> None:
    ElementTree.SubElement(element, "failure", message=_clean(message), type="unexpected").text = _clean(text)


def _clean(text: str) -> str:
    return _NOT_XML.sub("?", text)
