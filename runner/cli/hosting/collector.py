"""The garbage collector's settings in processes that live long and make hardly any cycles."""

from __future__ import annotations

import gc


def spare_the_collector() -> None:
    """What is loaded by now stays, so it need not be looked through again; and cycles are looked for rarely.

    An engine keeps thousands of runs in memory: to go through them every few hundred objects cost a tenth of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
