"""What every test may ask for: a real server to share, and a namespace on it that is the test's own.

valkey_url   the Valkey that the project installs          redis7_url   the distribution's Redis, or a skip
postgres_url a database of the test's own, in the distribution's PostgreSQL; or a skip
namespace    different for every test; its keys start with "{<namespace>"

Properties look at the same examples every time, so that a run of the suite says something about the change and not
about the day; with SAGARUN_EXAMPLES (`make properties`) they look at others each time, and at more of them.

The servers live as long as the test session, keep nothing on disk, and are shared: take a `namespace`, do not
flush them, do not change their settings (tests/servers.py starts one that is yours alone). Where the suite runs on
several processes, each of them has its own.
"""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import private_postgres, private_server, redis_binary, valkey_binary

# A busy machine is no fault of a property: neither a deadline nor the time it takes to draw an example.
settings.register_profile(
    "suite", deadline=None, suppress_health_check=[HealthCheck.too_slow],
    derandomize="SAGARUN_EXAMPLES" not in os.environ,
)
settings.load_profile("suite")

# What the caller's shell has set, and where in the world it stands, must not decide what is tested.
FOREIGN = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "GITHUB_ACTIONS", "TRACEPARENT", "SAGARUN_REDIS_URL",
           "SAGARUN_CONFIG", "PAYMENT_GATEWAY_URL")  # fmt: skip
for variable in [name for name in os.environ if name in FOREIGN or name.startswith("OTEL_")]:
    del os.environ[variable]
os.environ["TZ"] = "UTC"
time.tzset()

# A shell that starts the suite in the background makes it ignore Ctrl-C, and commands would inherit that from here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The short forms of what proves the reliability, and how long they may take together on an idle machine with two cores.
# No test holds them to it, for a test must not depend on what else the machine does: every run of all says the time.
SHORT_FORMS = {
    "simulation": ("tests/simulation/",), "chaos": ("tests/acceptance/chaos/",),
    "fault matrix": ("tests/integration/faults/",),
    "security": (
        "tests/unit/expression/test_attacks.py", "tests/unit/definition/test_events.py", "tests/project/test_no_code",
        "tests/acceptance/test_secrets.py", "tests/unit/worker/http/", "tests/unit/test_shown.py",
    ),
}  # fmt: skip
SHORT_FORMS_S = 120
MOST_PROCESSES = 4  # each collects all tests and starts its own servers


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One for each core, for the whole suite; what is named on the command line runs in one: -s and --pdb work."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_PROCESSES) if cores > 1 else 0


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    with private_server(valkey_binary()) as url:
        yield url


@pytest.fixture(scope="session")
def redis7_url() -> Iterator[str]:
    with private_server(redis_binary()) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with private_postgres() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    import psycopg

    schema = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
    return f"{postgres_server}&options=-csearch_path%3D{schema}"


@pytest.fixture
def namespace() -> str:
    return f"test-{secrets.token_hex(6)}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How long each of the short forms took, if all of them were there."""
    tests = [report for reports in terminalreporter.stats.values() for report in reports if hasattr(report, "when")]
    spent = {
        name: sum(report.duration for report in tests if report.nodeid.startswith(places))
        for name, places in SHORT_FORMS.items()
    }
    if min(spent.values()) > 0:
        each = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in spent.items())
        processes = getattr(terminalreporter.config.option, "numprocesses", 0) or 1
        terminalreporter.write_line(
            f"short forms: {each}; together {sum(spent.values()) / processes:.0f} s of {SHORT_FORMS_S} s "
            f"on {processes} processes"
        )
