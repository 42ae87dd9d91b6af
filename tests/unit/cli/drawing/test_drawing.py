"""Pictures of definitions: everything in them is drawn, the way back too, and always in the same way."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from runner.cli.drawing import mermaid, svg, text
from runner.cli.drawing.flow import Flow, flow_of
from runner.cli.main import invoke
from runner.cli.screen import plain
from runner.definition.load import load, load_text
from runner.definition.model import steps_below

ROOT = Path(__file__).parents[4]
GOLDEN = ROOT / "tests/golden"
SHIPPED = sorted(path for path in (ROOT / "definitions").glob("*.yaml") if ".test." not in path.name)
FILES = [*SHIPPED, *sorted((GOLDEN / "ok").glob("*.yaml"))]
SMALL = """
workflow: small
version: 1.0.0
steps:
  - {id: hold, worker: a.hold, compensate: {worker: a.release}}
  - id: both
    parallel:
      branches:
        left: [{id: book, worker: a.book, compensate: {worker: a.cancel}}]
        right: [{id: look, worker: a.look, kind: readonly}]
    catch: [{errors: [technical], steps: [{fail: rethrow}]}]
  - {id: ship, worker: a.ship, when: '{{ input.text == "</b>" }}', compensate: {worker: a.recall}}
  - {id: pay, worker: a.pay, kind: pivot}
finally:
  - {id: note, worker: a.note, kind: retriable}
"""


def drawn(path: Path) -> tuple[Flow, set[str]]:
    root = GOLDEN if path.is_relative_to(GOLDEN) else ROOT
    contracts = json.loads((GOLDEN / "workers.json" if root == GOLDEN else ROOT / "schemas/workers.json").read_text())
    definition = load(path, root=root, contracts=contracts)
    return flow_of(definition), {step.id for step in steps_below((*definition.steps, *definition.finally_))}


@pytest.fixture
def small(tmp_path: Path) -> Flow:
    return flow_of(load_text(SMALL, file="small.yaml", root=tmp_path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_step_is_in_every_picture(path: Path):
    flow, ids = drawn(path)
    pictures = ["\n".join(map(plain, text.lines(flow))), mermaid.text(flow), svg.text(flow)]
    assert [id for id in ids for picture in pictures if id not in picture] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_picture_is_well_formed_and_boxes_stay_inside(path: Path):
    root = ElementTree.fromstring(svg.text(drawn(path)[0]))
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    boxes = root.findall(".//{http://www.w3.org/2000/svg}rect[@x]")
    assert boxes
    for box in boxes:
        x, y, wide, high = (float(box.get(name, 0)) for name in ("x", "y", "width", "height"))
        assert x >= 0
        assert x + wide <= width
        assert y + high <= height


def test_boxes_do_not_overlap(small: Flow):
    root = ElementTree.fromstring(svg.text(small))
    boxes = [
        tuple(float(box.get(name, 0)) for name in ("x", "y", "width", "height"))
        for box in root.findall(".//{http://www.w3.org/2000/svg}rect[@x]") if box.get("rx") != "8"  # frames hold others
    ]
    clashes = [
        (a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :]
        if a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
    ]
    assert clashes == []


def test_the_tree_has_undos_beside_what_they_undo(small: Flow):
    assert list(map(plain, text.lines(small)))[1:] == [
        "├─ hold          a.hold  ↩ a.release",
        "├─ both          parallel: all of",
        "│  ├╴left",
        "│  │  └─ book    a.book  ↩ a.cancel",
        "│  ├╴right",
        "│  │  └─ look    a.look  readonly",
        "│  └╴catch technical",
        "│     └─ step_5  fail: rethrow",
        '├─ ship          a.ship  ↩ a.recall  when input.text == "</b>"',
        "└─ pay           a.pay  pivot: the point of no return",
        "finally",
        "└─ note          a.note  retriable",
    ]


def test_undo_edges_lead_backwards_and_stop_at_the_pivot(small: Flow):
    chart = mermaid.text(small)
    back = re.findall(r"^  (\w+) -\.-> (\w+)$", chart, re.MULTILINE)
    assert back == [("n2", "n1_undo"), ("n6_undo", "n2")]


def test_a_handler_that_fails_leads_nowhere(small: Flow):
    assert not re.search(r"catch0 -->", mermaid.text(small))


def test_what_means_something_to_mermaid_or_html_is_escaped(small: Flow):
    chart = mermaid.text(small)
    assert "&lt;" not in chart
    assert "</b>#" not in chart
    assert "#34;#60;/b#62;#34;" in chart


def test_the_command_draws_and_refuses_what_has_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text("workflow: a\nversion: 1.0.0\nsteps: [{id: rest, wait: 5s}]\n")
    for form in ("text", "mermaid", "svg"):
        assert invoke(["graph", "small.yaml", "--format", form]) == 0
        first = capsys.readouterr().out
        invoke(["graph", "small.yaml", "--format", form])
        assert capsys.readouterr().out == first
    (tmp_path / "small.yaml").write_text("workflow: a\nsteps: []\n")
    assert invoke(["graph", "small.yaml"]) == 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_edge_of_a_failure_goes_through_no_box_and_no_handler(path: Path):
    root = ElementTree.fromstring(svg.text(drawn(path)[0]))
    boxes = [
        [float(box.get(name, 0)) for name in ("x", "y", "width", "height")]
        for box in root.findall(".//{http://www.w3.org/2000/svg}rect[@x]")
        if box.get("rx") != "8" or box.get("stroke-dasharray")  # frames hold others, but for those of handlers
    ]
    edges = [re.fullmatch(r"M(\d+) (\d+)H(\d+)", edge.get("d", "")) for edge in root.iter() if edge.get("class") == "r"]
    for x, y, to in (map(int, edge.groups()) for edge in edges if edge):
        crossed = [box for box in boxes if box[1] < y < box[1] + box[3] and x + 2 < box[0] + box[2] and box[0] < to - 2]
        assert [box for box in crossed if not (box[0] < x and to < box[0] + box[2])] == []  # but what both ends are in


def test_undo_edges_join_frames_where_no_step_beside_them_has_an_undo(tmp_path: Path):
    frame = "{{id: {0}, steps: [{{id: {0}1, worker: a.do, compensate: {{worker: a.undo}}}}]}}"
    steps = f"steps: [{frame.format('a')}, {frame.format('b')}]\n"
    flow = flow_of(load_text(f"workflow: a\nversion: 1.0.0\n{steps}", file="a.yaml", root=tmp_path))
    assert len(re.findall(r'V\d+" class="r"', svg.text(flow))) == 1
