"""The console script. Rule: nothing is imported at its top but what Python has loaded already.

Who presses Ctrl-C at once, because of a slip in the command, is shown no traceback of the imports under way: nothing
was begun, so there is nothing to be told either.
"""

from __future__ import annotations

import os
import signal


def main() -> None:
    before = signal.getsignal(signal.SIGINT)
    is_heard = before is signal.default_int_handler  # not where somebody had it ignored, as for a job in the background
    if is_heard:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from runner.cli.main import main as command

    if is_heard:
        signal.signal(signal.SIGINT, before)
    command()
