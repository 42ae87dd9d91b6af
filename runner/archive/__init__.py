"""Runs that are over, copied to a database before they expire, and read back from it."""
