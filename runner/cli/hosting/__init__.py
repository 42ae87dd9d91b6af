"""What a process needs that runs engines and workers: started, told apart, watched, ended."""
