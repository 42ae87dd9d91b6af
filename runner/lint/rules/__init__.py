"""The lint rules, one family a file. `runner.lint.linter` has the table."""
