"""A command that has commands below it (`schedule add`, `workers export`)."""

from __future__ import annotations

import click

from runner.cli.failure import Exit


class Verbs(click.Group):
    """Versions of click disagree on where the help goes that nobody asked for, and on the exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        from runner.cli.screen import Screen

        if not args and not ctx.resilient_parsing:
            Screen().error(ctx.get_help().splitlines())
            ctx.exit(Exit.USAGE)
        return super().parse_args(ctx, args)
