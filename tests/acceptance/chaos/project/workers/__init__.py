"""The workers of the chaos project."""
