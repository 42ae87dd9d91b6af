"""The codes of the problems that reading a definition can find, each with its title. Codes are stable: never reuse one.

Those of the lint rules are in runner/lint/rules.
"""

from __future__ import annotations

from collections.abc import Mapping

CODES: Mapping[str, str] = {
    "SR001": "The file cannot be read as YAML",
    "SR002": "The file is too large",
    "SR003": "The YAML is nested too deeply",
    "SR004": "The YAML has too many nodes",
    "SR005": "A key is there twice",
    "SR006": "Merge keys are not supported",
    "SR007": "YAML tags are not supported",
    "SR008": "A key is not text",
    "SR009": "A file holds one document",
    "SR010": "A value means different things to different readers, or has no JSON form",
    "SR011": "An alias does not refer to a finished anchor",
    "SR101": "A key is missing",
    "SR102": "Unknown key",
    "SR103": "A value has the wrong type",
    "SR104": "A value is not one of those allowed",
    "SR105": "A name, duration or expression is not written as one",
    "SR106": "A step does exactly one thing",
    "SR107": "A key belongs to another kind of step",
    "SR108": "A value is out of range",
    "SR109": "A stored definition cannot be read",
    "SR110": "A $ref cannot be followed",
    "SR111": "Not a JSON Schema 2020-12",
    "SR112": "Too many steps",
    "SR113": "Steps are nested too deeply",
    "SR115": "Both catch and on_failure",
    "SR116": "A switch has at most one else, as its last case",
    "SR117": "There is no such subworkflow",
    "SR118": "A workflow is part of itself",
    "SR119": "A subworkflow cannot stand in finally",
    "SR211": "Two steps have one id",
    "SR212": "An unknown name of use",
}
