"""A fresh Valkey or Redis for one measurement, and its counters. Loopback only, on a port that was free."""

from __future__ import annotations

import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import redis

from runner.store.embedded.process import server_environment

APPENDFSYNC = {"strict": "always", "standard": "everysec"}


@dataclass(frozen=True, slots=True)
class Counters:
    """What the server has done since it started."""

    commands: int  # with those that scripts call
    reads: int  # from sockets: about one a client's round trip

    def since(self, earlier: Counters) -> Counters:
        return Counters(self.commands - earlier.commands, self.reads - earlier.reads)


class Server:
    """A server process with the durability of a tier, in a directory of its own."""

    def __init__(self, binary: Path, directory: Path, tier: str) -> None:
        directory.mkdir(parents=True)
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(directory),
            "save": "",
            "appendonly": "yes",
            "appendfsync": APPENDFSYNC[tier],
            "maxmemory-policy": "noeviction",
        }
        arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
        with (directory / "server.log").open("wb") as log:
            self.process = subprocess.Popen(
                [binary, *arguments], env=server_environment(), stdout=log, stderr=log, start_new_session=True
            )
        self._client = redis.Redis.from_url(self.url, socket_timeout=10)

    def __enter__(self) -> Server:
        give_up_at = time.monotonic() + 10
        while True:
            try:
                self._client.ping()
                return self
            except redis.ConnectionError:
                if time.monotonic() > give_up_at or self.process.poll() is not None:
                    self.stop()
                    raise
                time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._client.close()
        self.process.kill()  # its data is thrown away
        self.process.wait()

    def version(self) -> str:
        info = self._client.info("server")
        name = info.get("server_name", "redis")
        return f"{name} {info.get('valkey_version') or info['redis_version']}"

    def counters(self) -> Counters:
        commands = self._client.info("commandstats")
        return Counters(
            commands=sum(entry["calls"] for entry in commands.values()),
            reads=int(self._client.info("stats")["total_reads_processed"]),
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
