"""Definitions by content hash, compiled once a process. A run finishes with the definition it began with."""

from __future__ import annotations

import math
import time
from collections import OrderedDict

import msgspec

from runner.definition.load import parse_document
from runner.definition.model import Definition
from runner.errors import RecordTampered
from runner.interpreter.plan import Plan, compile_plan
from runner.store.ports import Store

SETTLED_S = 60.0  # what was stored so long ago no crash of the server undoes (in the tier `standard` it undoes seconds)
KEPT = 256  # plans; a process that serves more definitions compiles the rarest again


class Catalogue:
    """The definitions that runs of this store use."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._plans: OrderedDict[str, Plan] = OrderedDict()
        self._stored: dict[str, float] = {}  # by digest: since when
        self._settled: set[str] = set()

    def put(self, definition: Definition) -> str:
        """Keep the definition and those that its steps start, and give its content hash."""
        if definition.digest not in self._stored:
            self._put(definition)
            self._stored[definition.digest] = time.monotonic()
        return definition.digest

    def is_settled(self, definition: Definition) -> bool:
        """Whether no crash can undo that it was put: it was there long afterwards. Ask before the start."""
        digest = definition.digest
        if digest in self._settled:
            return True
        is_old = time.monotonic() - self._stored.get(digest, math.inf) >= SETTLED_S
        if is_old and self._store.get_definition(digest) is not None:
            self._settled.add(digest)
        return digest in self._settled

    def put_again(self, definition: Definition) -> None:
        """After a start: a server that crashed just before it may have been set back to before the definition came."""
        self._put(definition)

    def _put(self, definition: Definition) -> None:
        # Children first: whoever finds the parent must find them too.
        for digest, child in definition.children.items():
            self._store.put_definition(digest, msgspec.json.encode(child.document))
        self._store.put_definition(definition.digest, msgspec.json.encode(definition.document))

    def definition(self, digest: str) -> Definition:
        return self.plan(digest).definition

    def plan(self, digest: str) -> Plan:
        """Raises RecordTampered when the store has no such definition (it was deleted by hand)."""
        plan = self._plans.get(digest)
        if plan is None:
            document = self._store.get_definition(digest)
            if document is None:
                raise RecordTampered(f"the definition {digest[:12]} of a run is not in the store any more")
            plan = self._plans[digest] = compile_plan(parse_document(msgspec.json.decode(document)))
            if len(self._plans) > KEPT:
                self._plans.popitem(last=False)
        else:
            self._plans.move_to_end(digest)
        return plan
