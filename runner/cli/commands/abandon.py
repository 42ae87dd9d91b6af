"""`sagarun abandon`: end a run without undoing anything."""

from __future__ import annotations

from runner.cli.ending import ending_command

command = ending_command(
    "abandon",
    lambda client, *run, **about: client.abandon(*run, **about),
    "End a run without undoing anything.",
    "End RUN, or what --query fits, as it is. Nothing is undone; `show` lists what stands.",
)
