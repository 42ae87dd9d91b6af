"""Figures: what events count, under which names, and how percentiles are read from the counts. Pure."""
