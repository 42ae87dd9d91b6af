"""A run as people and programs are told it: read, followed, laid out. Nothing is changed here."""
