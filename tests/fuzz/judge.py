"""Checks a file as `validate` does, and says what must not come of it: a traceback, or a second of processor time."""

from __future__ import annotations

import json
import resource
import shutil
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.lint.checked import check_file
from runner.lint.text import render
from tests.fuzz.mutate import mutated

ROOT = Path(__file__).resolve().parents[2]
MEMORY = 512 << 20
SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one file; `fault` is empty where nothing is wrong with that."""

    seed: int
    seconds: float
    problems: int
    fault: str = ""


def sources() -> list[bytes]:
    """The shipped definitions once, and all golden files."""
    paths = [path for path in (ROOT / "definitions").glob("*.yaml") if not path.stem.endswith(".test")]
    paths += [*(ROOT / "tests/golden").rglob("*.yaml"), *(ROOT / "tests/simulation/definitions").glob("*.yaml")]
    return [path.read_bytes() for path in sorted(paths)]


@contextmanager
def project() -> Iterator[Path]:
    """A folder with what the definitions refer to."""
    fast = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="sagarun-fuzz.", dir=fast if fast.is_dir() else None))
    try:
        (folder / "definitions").mkdir()
        shutil.copytree(ROOT / "schemas", folder / "schemas")
        shutil.copytree(ROOT / "tests/golden/schemas", folder / "definitions/schemas")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def judged(seeds: Sequence[int], files: Sequence[bytes]) -> Iterator[Result]:
    known = {**_contracts("schemas/workers.json"), **_contracts("tests/golden/workers.json")}
    with project() as folder:
        path = folder / "definitions/fuzzed.yaml"
        for seed in seeds:
            path.write_bytes(mutated(seed, files))
            began = time.process_time()
            fault, count = "", 0
            try:
                definition, problems = check_file(path, root=folder, contracts=known)
                count = len(problems)
                text = path.read_bytes().decode(errors="replace")
                told = [render(problem, text) for problem in problems[:50]]
                if definition is None and not told:
                    fault = "no definition, and nothing is said about it"
            except BaseException:
                fault = traceback.format_exc(limit=-6)
            seconds = time.process_time() - began
            if seconds > SECONDS and not fault:
                fault = f"{seconds:.2f} s of processor time"
            yield Result(seed, seconds, count, fault)


def _contracts(path: str) -> dict[str, dict[str, object]]:
    known: dict[str, dict[str, object]] = json.loads((ROOT / path).read_text(encoding="utf-8"))
    return known
