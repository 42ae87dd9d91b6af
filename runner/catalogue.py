"""Definitions by content hash, compiled once a process. A run finishes with the definition it began with."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from runner.definition.load import parse_document
from runner.definition.model import Definition
from runner.errors import RecordTampered, StoreUnavailable
from runner.interpreter.plan import Plan, compile_plan
from runner.store.ports import NewRun, StartAnswer, Store

TRIES = 10  # to start a run on a server that forgets its definition again and again
KEPT = 256  # plans; a process that serves more definitions compiles the rarest again


class Catalogue:
    """The definitions that runs of this store use."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._plans: OrderedDict[str, Plan] = OrderedDict()
        self._stored: set[str] = set()

    def put(self, definition: Definition) -> str:
        """Keep the definition and those that its steps start, and give its content hash."""
        if definition.digest not in self._stored:
            self._put(definition)
            self._stored.add(definition.digest)
        return definition.digest

    def start(self, definition: Definition, runs: Sequence[NewRun]) -> list[StartAnswer]:
        """Start runs of it. The definition is put first, and again if the server was set back to before that."""
        self.put(definition)
        for _ in range(TRIES):
            answers = self._store.start(runs)  # those that were started get the same answer, by their nonces
            if not any(answer.answer == "undefined" for answer in answers):
                return answers
            self._put(definition)
        raise StoreUnavailable(f"the store does not keep the definition of {definition.workflow}")

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
