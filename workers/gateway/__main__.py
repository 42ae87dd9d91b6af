"""`python -m workers.gateway start|stop|status|serve`: the sandbox gateway as a program. Importing it does nothing."""

from __future__ import annotations

import argparse
import os
import sys

from workers.gateway import process
from workers.places import gateway_ledger


def main(arguments: list[str] | None = None) -> int:
    """Do one verb; the exit code is 1 where there is no gateway and one was needed."""
    options = _parser().parse_args(arguments)
    ledger = gateway_ledger()
    try:
        if options.verb == "serve":
            process.serve_here(ledger, idle_s=options.idle, port=options.port)
            return 0
        if options.verb == "start":
            return _say(process.start(ledger, idle_s=options.idle, port=options.port))
        if options.verb == "status":
            return _say(process.find(ledger))
        stopped = process.stop(ledger)
    except (process.GatewayNotStarted, OSError) as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 1
    print("stopped" if stopped else "not running")
    return 0


def _say(address: process.Address | None) -> int:
    print("not running" if address is None else f"{address.url} (process {address.pid})")
    return 1 if address is None else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workers.gateway", description="The sandbox payment gateway.")
    parser.add_argument("verb", choices=["start", "stop", "status", "serve"], help="serve stays in the foreground")
    parser.add_argument("--port", type=int, default=0, help="default: one that is free")
    idle_s = float(os.environ.get("GATEWAY_IDLE_S", process.IDLE_S))
    parser.add_argument(
        "--idle", type=float, default=idle_s, metavar="SECONDS", help="end when nobody asks for so long"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
