"""The expression language. Import from `runner.expression.evaluate`: importing this loads nothing."""
