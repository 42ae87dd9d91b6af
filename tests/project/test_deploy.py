"""What deploy/ ships: dashboard and rules name only metrics and labels that are exported, and promtool accepts them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from runner.monitor.exposition import METRICS, exposition
from runner.store.memory.store import MemoryStore
from tests.project.repository import ROOT

RULES = ROOT / "deploy/prometheus/rules.yml"
DASHBOARD = ROOT / "deploy/grafana/sagarun.json"
HISTOGRAM = re.compile(r"_(bucket|sum|count)$")
NEEDS_PROMTOOL = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")


def expressions() -> Iterator[str]:
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (each["query"]["query"] for each in dashboard["templating"]["list"] if isinstance(each["query"], dict))


def metric_of(name: str) -> str:
    family = HISTOGRAM.sub("", name)
    return family if family in METRICS and METRICS[family].kind == "histogram" else name


def test_every_metric_that_is_named_is_exported():
    named = {metric_of(name) for text in expressions() for name in re.findall(r"\bsagarun_\w+", text)}
    assert named - METRICS.keys() == set()
    assert METRICS.keys() - named == set(), "each is shown or watched somewhere"


@pytest.mark.parametrize("text", sorted(set(expressions())))
def test_every_label_that_is_used_is_one_of_the_metrics(text: str):
    metrics = [METRICS[metric_of(name)] for name in re.findall(r"\bsagarun_\w+", text)]
    known = {"le"} | {label for metric in metrics for label in metric.labels}
    used = {label for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", text) for label in group.split(", ")}
    used |= set(re.findall(r"[{,](\w+)(?:=~|!=|=)", text))
    assert used <= known


def test_panels_do_not_overlap():
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@NEEDS_PROMTOOL
def test_promtool_accepts_the_rules():
    done = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@NEEDS_PROMTOOL
def test_promtool_accepts_the_metrics(tmp_path: Path):
    text = exposition(MemoryStore(namespace=tmp_path.name), "1.2.3")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


@NEEDS_PROMTOOL
@pytest.mark.parametrize("text", sorted(set(expressions())))
def test_promtool_can_read_every_expression(text: str, tmp_path: Path):
    if text.startswith("label_values"):
        return
    rules = {"groups": [{"name": "one", "rules": [{"record": "one", "expr": text.replace("$workflow", ".*")}]}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    command = ["promtool", "check", "rules", str(tmp_path / "rules.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
