"""The shell around the interpreter: load a batch of runs, advance each, commit the batch."""
