"""What is said of definitions and test files before anything runs, and what mends them."""
