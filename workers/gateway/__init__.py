"""The payment gateway: a sandbox that runs as a process of its own, and the client that talks to it.

`tokens` say how a sandbox card behaves, `ledger` keeps the books, `api` answers HTTP, `process` starts and stops
the program, `client` is all that the workers use. Only `client` may be imported by a worker.
"""
