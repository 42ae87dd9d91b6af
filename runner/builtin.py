"""The contracts of the workers that come with sagarun, as data: definitions that ask for them are checked without code.

`schemas/builtin.json` is written from the workers themselves, and a test says when it is stale.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any


@cache
def builtin_contracts() -> Mapping[str, Mapping[str, Any]]:
    """By worker name. Installed, the file lies in the package; in a checkout, beside it."""
    package = Path(__file__).parent
    folder = package / "schemas"
    if not folder.is_dir():
        folder = package.parent / "schemas"
    contracts: Mapping[str, Mapping[str, Any]] = json.loads((folder / "builtin.json").read_bytes())
    return contracts
