"""The order application's workers: one module a department, on a real SQLite database and a real payment gateway."""
