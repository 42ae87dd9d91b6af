"""`http.request`, the worker that needs no code: hosts, connection, and what an answer means."""
