"""YAML text to a frozen Definition, or to problems with line and column. Import from its modules."""
