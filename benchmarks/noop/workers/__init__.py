"""The workers of the benchmark's project."""
