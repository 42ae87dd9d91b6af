"""What can be seen of runs: read-only views, and the log. Nothing here changes a run."""
