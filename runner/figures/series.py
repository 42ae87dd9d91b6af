"""The names under which things are counted, a kind and its labels, joined by `|`: for who counts and for who reads.

Rule: names are stored, so a kind whose labels change gets another name. How a kind begins says where it is kept (see
ports.Commit): `~` in windows only, `=` in the sum only, `@` only when it was last. No label is a text for people.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from runner.wire import ErrorRecord

STARTED = "started"  # workflow, version
FINISHED = "finished"  # workflow, version, status
LASTED = "lasted"  # workflow, status, bucket: from start to end of a run
LIVE = "=live"  # workflow, status: runs that are not over
STUCK = "stuck"  # workflow: a run came to need a person
QUEUED = "queued"  # queue, worker, bucket: from dispatch to claim of an attempt
TOOK = "took"  # workflow, step, phase, worker, outcome, bucket: from claim to end
FAILED = "failed"  # workflow, step, phase, worker, outcome, kind, error type: attempts that did not complete
RETRIED = "retried"  # workflow, step, phase, worker
UNDONE = "undone"  # workflow, outcome: steps that were, or could not be, undone
DID = "~did"  # process, outcome, bucket
WAITED = "~waited"  # process, bucket
RAN, ERRED = "@ran", "@erred"  # worker: when its last attempt ended, and its last one that did not complete

SUM = "sum"  # in the place of a bucket: the times together, in microseconds
OTHER = "other"  # what had no name of its own any more
MAX_LABEL = 100
ALIKE = "\n"  # between names that grow alike, where a commit counts them as one (ports.Commit)

_CODE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


class Series(NamedTuple):
    kind: str
    labels: tuple[str, ...]


@lru_cache(maxsize=2048)
def name(kind: str, *labels: str) -> str:
    """A histogram's without its bucket: `in_bucket` adds that. Kept are these, of which there are not many: with bucket
    and process there are so many names that an engine would come to hold ten megabytes of those of dead processes."""
    return "|".join((kind, *(label.replace("|", "/").replace(ALIKE, " ")[:MAX_LABEL] for label in labels)))


def in_bucket(histogram: str, bucket: int | str) -> str:
    return f"{histogram}|{bucket}"


def read(counts: Mapping[str, int]) -> Iterator[tuple[Series, int]]:
    """What was counted under names of known form."""
    for text, count in counts.items():
        kind, *labels = text.split("|")
        if len(labels) == _LABELS.get(kind):
            yield Series(kind, tuple(labels)), count


_LABELS = {
    STARTED: 2, FINISHED: 3, LASTED: 3, LIVE: 2, STUCK: 1, QUEUED: 3, TOOK: 6, FAILED: 7, RETRIED: 4, UNDONE: 2, DID: 3,
    WAITED: 2, RAN: 1, ERRED: 1, OTHER: 0,
}  # fmt: skip


def error_type(error: ErrorRecord | None) -> str:
    """A code, or the type of an exception: never its text, of which there are as many as there are errors."""
    if error is None:
        return "none"
    word = error.message.partition(":")[0] if error.code == "exception" else error.code
    return word if _CODE.fullmatch(word) else error.code if _CODE.fullmatch(error.code) else OTHER
