"""The commands: one module a verb, found by its name from `runner.cli.main`.."""
