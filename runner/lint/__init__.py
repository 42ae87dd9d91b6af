"""Checks what a definition means. Import from `runner.lint.linter`: importing this loads nothing."""
