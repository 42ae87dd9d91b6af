"""Where the application keeps its files. Nothing else here may name a path of its own.

The environment is read at every call, so that a test can point a thread's shop elsewhere.
"""

from __future__ import annotations

import os
from pathlib import Path


def project_root() -> Path:
    """The folder of the project: `SAGARUN_PROJECT_ROOT`, else the parent of the `workers` package."""
    given = os.environ.get("SAGARUN_PROJECT_ROOT")
    return Path(given).resolve() if given else Path(__file__).resolve().parent.parent


def is_test() -> bool:
    """`sagarun test` gives us an empty folder for what we keep, `SAGARUN_STATE`, and takes it away when it is done."""
    return bool(os.environ.get("SAGARUN_STATE"))


def shop_database() -> Path:
    """The shop's SQLite file: `SHOP_DB`, else `.sagarun/shop.db`."""
    return _file("SHOP_DB", "shop.db")


def gateway_ledger() -> Path:
    """The sandbox gateway's SQLite file: `GATEWAY_DB`, else `.sagarun/gateway.db`."""
    return _file("GATEWAY_DB", "gateway.db")


def _file(variable: str, name: str) -> Path:
    given = os.environ.get(variable)
    if given:
        return Path(given).resolve()
    state = os.environ.get("SAGARUN_STATE")
    return (Path(state).resolve() if state else project_root() / ".sagarun") / name
