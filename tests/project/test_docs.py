"""The documentation cannot drift: commands, options, links and examples are compared with what there is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from runner.cli.failure import Exit
from runner.cli.main import group
from runner.lint.linter import titles
from tests.project.repository import ROOT, files, relative

PAGES = [*ROOT.glob("README.md"), *files("docs", suffix=".md")]
LINKED = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *files("benchmarks", suffix=".md")]
COMMANDS = ("pip install -e . && sagarun definitions/order.yaml", "pip install -e '.[test]' && pytest")


def everything_written() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def visible_commands(command: click.Command, path: str = "sagarun") -> Iterator[tuple[str, click.Command]]:
    """(what one types, the command) for the group and everything below it, as `--help` lists them."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None, f"{path} {name} is listed and cannot be loaded"
            if not below.hidden:
                yield from visible_commands(below, f"{path} {name}")


def visible_options(command: click.Command) -> list[str]:
    """The long form of every option; of a pair such as --wait/--no-wait the first."""
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    return [next((form for form in one.opts if form.startswith("--")), one.opts[0]) for one in options]


def test_every_command_is_documented():
    typed = [path for path, _ in visible_commands(group)]
    assert len(typed) > 10
    written = everything_written()
    assert [path for path in typed if not re.search(rf"\b{path}\b", written)] == []


def test_every_option_is_documented():
    written = everything_written()
    missing: dict[str, str] = {}  # option -> the first command that has it
    for path, command in visible_commands(group):
        for option in visible_options(command):
            if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", written):
                missing.setdefault(option, path)
    assert missing == {}


def test_every_command_explains_itself():
    assert [path for path, command in visible_commands(group) if not (command.help or "").strip()] == []


def test_every_option_explains_itself():
    silent = [
        f"{path} {option.opts[0]}"
        for path, command in visible_commands(group)
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden and not option.help
    ]
    assert silent == []


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_gives_the_commands_that_are_checked(command: str):
    """.ci/run types what the README says, word for word."""
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")
    assert command in (ROOT / ".ci/run").read_text(encoding="utf-8")


def fenced(language: str) -> list[tuple[str, str]]:
    """(page:line, text) of every block in that language."""
    blocks = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            blocks.append((f"{relative(page)}:{text.count(chr(10), 0, match.start()) + 1}", match[1]))
    return blocks


def is_definition(text: str) -> bool:
    """Also one that lacks the head which would be the same everywhere; test_examples.py runs them all."""
    return re.search(r"^(workflow|steps):", text, re.MULTILINE) is not None


FRAGMENTS = [pytest.param(text, id=place) for place, text in fenced("yaml") if not is_definition(text)]
PROGRAMS = [pytest.param(text, id=place) for place, text in fenced("python")]


def test_readme_shows_a_definition_and_its_worker():
    """Also what keeps the next two tests, and those of test_examples.py, from having nothing to look at."""
    shown = {place.partition(":")[0] for place, text in fenced("yaml") if is_definition(text)}
    assert "README.md" in shown
    assert "README.md" in {place.partition(":")[0] for place, _ in fenced("python")}


@pytest.mark.parametrize("text", FRAGMENTS)
def test_a_fragment_that_is_shown_is_yaml(text: str):
    yaml.safe_load(text)


@pytest.mark.parametrize("text", PROGRAMS)
def test_a_program_that_is_shown_is_python(text: str):
    ast.parse(text)


def test_every_code_that_validate_prints_is_documented():
    page = (ROOT / "docs/checks.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| (SR\d{3}) \| (.*?) \|", page, re.MULTILINE)) == dict(titles())


def test_every_exit_code_is_documented():
    _, _, section = (ROOT / "docs/commands.md").read_text(encoding="utf-8").partition("## Exit codes")
    listed = re.findall(r"^\| (\d+) \|", section.partition("\n## ")[0], re.MULTILINE)
    assert [int(code) for code in listed] == [code.value for code in Exit]


def links() -> Iterator[tuple[Path, str]]:
    for page in LINKED:
        text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not re.match(r"[a-z]+:", target):
                yield page, target


def test_links_between_pages_lead_somewhere():
    broken = [f"{relative(page)}: {target}" for page, target in links() if not leads_somewhere(page, target)]
    assert broken == []


def test_every_page_is_found_from_the_readme():
    """In two steps: README.md names it, or a page that README.md names does."""
    named = {(page.parent / target.partition("#")[0]).resolve() for page, target in links() if page in PAGES[:1]}
    named |= {(page.parent / target.partition("#")[0]).resolve() for page, target in links() if page in named}
    assert [relative(page) for page in PAGES[1:] if page not in named] == []


def test_pages_that_code_sends_a_reader_to_are_there():
    sources = [*files("runner", suffix=".py"), *files("tests", suffix=".py"), *files("benchmarks", suffix=".py")]
    named = {page for source in sources for page in re.findall(r"docs/[a-z_]+\.md", source.read_text(encoding="utf-8"))}
    assert named
    assert sorted(page for page in named if not (ROOT / page).is_file()) == []


def leads_somewhere(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    path = (page.parent / name).resolve() if name else page
    if not path.exists():
        return False
    return not anchor or anchor in headings(path)


def headings(path: Path) -> set[str]:
    """The anchors that a renderer gives to a page's headings: lower case, punctuation gone, spaces as dashes."""
    found = re.findall(r"^#+ +(.+?) *$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {anchor_of(heading) for heading in found}


def anchor_of(heading: str) -> str:
    return re.sub(r" ", "-", re.sub(r"[^\w\- ]", "", heading.strip().lower()))


def test_contents_list_every_section():
    """What a page's contents leave out, a reader takes not to be there."""
    missing = []
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        contents, has_some, _ = text.partition("\n## ")
        if has_some and "**Contents:**" in contents:
            listed = set(re.findall(r"\]\(#([^)]+)\)", contents))
            sections = {anchor_of(title) for title in re.findall(r"^## (.+)$", text, re.MULTILINE)}
            missing += [f"{relative(page)}#{anchor}" for anchor in sorted(sections - listed)]
    assert missing == []
