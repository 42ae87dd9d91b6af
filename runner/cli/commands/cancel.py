"""`sagarun cancel`: stop a run and undo what it did."""

from __future__ import annotations

from runner.cli.ending import ending_command

command = ending_command(
    "cancel",
    lambda client, *run, **about: client.cancel(*run, **about),
    "Stop a run and undo what it did.",
    "Stop RUN, or what --query fits, and undo it. Refused after its point of no return, and while it is stuck.",
)
