"""The append-only file: torn at any byte of its end, and a disk that is full.

`make faults` cuts at every one of the last 4,096 bytes, and at 500 before; the suite at a sample.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from redis import Redis

from runner.catalogue import Catalogue
from runner.client import Client, RunHandle
from runner.clock import VirtualClock
from runner.definition.load import load_text
from runner.engine.engine import Engine
from runner.errors import BusinessError, StoreUnavailable
from runner.store.ports import ProcessInfo
from runner.store.redis_store import RedisStore
from runner.worker.inprocess import InProcessWorker
from runner.worker.registry import Registry
from tests.conformance.store_world import Clock, StoreWorld, check_invariants
from tests.integration.faults.system import DEFINITION, FULL, Server, breakable_server, system
from tests.servers import until

TORN = 4_096
SAMPLED = 24
DAY_MS = 86_400_000


# -- a file that is torn --------------------------------------------------------------------------------------
class Desk:
    """An engine and workers that are called step by step; what took effect is in a set, as behind a barrier."""

    def __init__(self, url: str, folder: Path, clock: VirtualClock) -> None:
        self.clock = clock
        self.store = RedisStore.connect(url, namespace="torn", clock=clock)
        self.redis = Redis.from_url(url)
        self.done: dict[str, int] = {}
        self.undone: dict[str, int] = {}
        self.breaks_first = False  # every third effect: the first time it is asked for
        self._broke: set[str] = set()
        registry = Registry()
        registry.worker("fault.book")(self.book)
        registry.worker("fault.cancel")(self.cancel)
        registry.worker("fault.decide", raises=["refused"])(self.decide)
        self.client = Client(store=self.store, root=folder)
        self.definition = load_text(DEFINITION, file="torn.yaml", root=folder)
        self.store.register(ProcessInfo("engine", "engine", "host", 1), lease_ms=DAY_MS)
        self.engine = Engine(self.store, process_id="engine")
        self.worker = InProcessWorker(self.store, registry, clock=clock, slots=3)

    def book(self, ref: str, seconds: float) -> None:
        if self.breaks_first and ref not in self._broke and len(self._broke | self.done.keys()) % 3 == 0:
            self._broke.add(ref)
            raise RuntimeError("it breaks, this time")
        self.done[ref] = self.done.get(ref, 0) + 1

    def cancel(self, ref: str) -> None:
        self.undone[ref] = self.undone.get(ref, 0) + 1

    def decide(self, ref: str, refuse: bool) -> None:
        self.book(ref, 0)
        if refuse:
            raise BusinessError("refused")

    def work(self) -> None:
        """To the end, also of leases and pauses."""
        for _ in range(300):
            while self.engine.step() + self.worker.step():
                pass
            if self.store.count_live() == 0:
                return
            self.clock.advance(5_000)
            self.store.tick()
        raise AssertionError(f"{self.store.count_live()} runs do not end")

    def close(self) -> None:
        self.store.close()
        self.redis.close()


class Written(NamedTuple):
    """A server's folder, and what had taken effect, and was undone, when it was killed."""

    folder: Path
    done: Mapping[str, int]
    undone: Mapping[str, int]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """By a server that was killed while runs began, went on, were undone and ended."""
    folder = tmp_path_factory.mktemp("written")
    with breakable_server(durability="strict") as server:
        desk = Desk(server.url, folder, VirtualClock())
        Catalogue(desk.store).put(desk.definition)
        for number in range(12):
            desk.client.start_many(desk.definition, [{"seconds": 0, "refuse": number % 2 == 0}])
            desk.engine.step()
            desk.worker.step()
        desk.store.tick()
        server.kill()
        desk.close()
        shutil.copytree(server.folder / "appendonlydir", folder / "appendonlydir")
    return Written(folder, desk.done, desk.undone)


def cuts(size: int) -> list[int]:
    """How many bytes are gone: every number up to TORN, and samples of all there are."""
    if FULL:
        return [*range(1, TORN + 1), *range(TORN + 1, size, size // 500)]
    return [1, 2, 3, *range(4, size, size // SAMPLED)]


def test_a_file_that_is_torn_at_any_byte_holds_a_state_from_which_every_run_ends(written: Written, tmp_path: Path):
    (file,) = (written.folder / "appendonlydir").glob("*.incr.aof")
    whole = file.read_bytes()
    assert len(whole) > 2 * TORN
    states = set()
    with breakable_server(settings=("--appendonly", "no")) as server:
        target = server.folder / "appendonlydir"
        server._command += ["--appendonly", "yes", "--aof-load-truncated", "yes"]
        for cut in cuts(len(whole)):
            server.kill()
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(written.folder / "appendonlydir", target)
            (target / file.name).write_bytes(whole[:-cut])
            server.start()
            states.add(look_and_finish(server, tmp_path, written))
    assert len(states) > (50 if FULL else 12), "the cuts lead to different states"
    print(f"\n{len(cuts(len(whole)))} files torn at different bytes held {len(states)} different states")


def look_and_finish(server: Server, folder: Path, written: Written) -> int:
    """What the server loaded keeps every invariant, and leads to an end. How much it was."""
    clock = VirtualClock()
    looking = RedisStore.connect(server.url, namespace="torn", clock=clock)
    with Redis.from_url(server.url) as client:
        world = StoreWorld(looking, Clock(), client)
        check_invariants(world.snapshot())
        size = sum(len(str(value)) for value in world.dump().values())
        clock.now_ms = max(clock.now_ms, int(client.hget("{torn:00}:clock", "last") or 0))
        desk = Desk(server.url, folder, clock)
        desk.work()
        done, undone = desk.done.keys() | written.done.keys(), desk.undone.keys() | written.undone.keys()
        for row in desk.store.list_runs(limit=100):
            steps = {f"{row.run_id}/{step}" for step in ("first", "second")}
            assert row.status in ("completed", "compensated")
            assert steps <= done, "what the record says was done was done"
            assert bool(steps & undone) == (row.status == "compensated")
            assert steps <= undone or row.status == "completed"
        check_invariants(world.snapshot())
        desk.close()
    looking.close()
    return size


# -- a disk that is full --------------------------------------------------------------------------------------
def full(server: Server, room: int) -> None:
    """No file of it may grow beyond `room` bytes; as a full disk does, this ends a write in its middle."""
    assert server.process is not None
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (room, hard))


def written_so_far(server: Server) -> int:
    return max(file.stat().st_size for file in (server.folder / "appendonlydir").iterdir())


def test_a_full_disk_is_waited_for_and_nothing_is_lost(tmp_path: Path):
    """everysec: the server says MISCONF, which means that it did nothing; it takes writes again when there is room."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with (
        breakable_server(durability="standard", restore_signals=False) as server, system(server.url, tmp_path) as house,
        server.client() as client,
    ):
        house.engine()
        house.worker()
        runs = house.begin(20, refused=5, seconds=0.3)
        until(lambda: house.claims >= 20, "they are under way")
        full(server, written_so_far(server))
        until(lambda: client.info("persistence")["aof_last_write_status"] == "err", "the disk is full")
        with pytest.raises(StoreUnavailable, match="MISCONF"):
            house.connect(patience_s=0.3)  # even PING is refused
        time.sleep(0.5)
        full(server, resource.RLIM_INFINITY)
        assert house.statuses(runs) == {"completed": 15, "compensated": 5}
        assert set(house.told("did").values()) == {1}
        assert house.failures == []
        before = house.store.list_runs(limit=100)
        server.kill()
        server.start()
        assert house.store.list_runs(limit=100) == before, "what it wrote around the full disk is readable"


def test_a_full_disk_under_strict_ends_the_server_and_what_it_acknowledged_is_there_when_there_is_room(tmp_path: Path):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with (
        breakable_server(durability="strict", restore_signals=False) as server, system(server.url, tmp_path) as house,
    ):
        house.engine()
        house.worker()
        assert house.statuses(house.begin(3)) == {"completed": 3}
        runs = house.begin(20, seconds=0.3)
        until(lambda: house.claims >= 20 + 9, "they are under way")
        full(server, written_so_far(server) + 100)
        until(lambda: not server.is_alive, "it ends, as it may not answer what it could not write")
        server.start()
        assert house.statuses(runs) == {"completed": 20}
        assert set(house.told("did").values()) == {1}
        check_invariants(StoreWorld(house.store, Clock(), Redis.from_url(server.url)).snapshot())


# -- a disk that stalls ---------------------------------------------------------------------------------------
SEIZE, INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000  # of ptrace and waitpid


class Stall:
    """The server's thread that syncs the file stands still, as in an fsync that does not come back.

    Nothing but that thread does, so the server goes on: it puts off what it has to write for two seconds at most, and
    acknowledges it all the same. Needs no more rights than a debugger of one's own process does.
    """

    def __init__(self, server: Server) -> None:
        assert server.process is not None
        self._server = server
        (self._thread,) = (
            int(each.name) for each in Path(f"/proc/{server.process.pid}/task").iterdir()
            if (each / "comm").read_text().strip() == "bio_aof"
        )  # fmt: skip
        for request in (SEIZE, INTERRUPT):
            if ctypes.CDLL(None, use_errno=True).ptrace(request, self._thread, None, None):
                pytest.skip(f"a process may not be traced here: {os.strerror(ctypes.get_errno())}")
        os.waitpid(self._thread, WALL)

    def kill_the_server(self) -> None:
        self._server.signal(signal.SIGKILL)
        os.waitpid(self._thread, WALL)  # or it stays, and with it the process
        self._server.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="one thread of a process can only be stopped by ptrace")
@pytest.mark.parametrize("durability", ["standard", "strict"])
def test_a_stalled_disk_loses_what_standard_may_lose_and_nothing_of_strict(durability: str, tmp_path: Path):
    """The record is set back by what the server had not written yet, and every run that it knows ends as it should."""
    with breakable_server(durability=durability) as server, system(server.url, tmp_path) as house:
        house.engine()
        # The server may have forgotten that a task was handed in; that one is given to nobody else before its lease.
        house.worker(**({"lease_ms": 2_000, "beat_s": 0.2} if durability == "standard" else {}))
        assert house.statuses(house.begin()) == {"completed": 1}
        gone: set[str] = set()
        repeated = 0
        for _ in range(10):  # until the server is killed before it writes: it may have been about to
            stall, begun = Stall(server), list[RunHandle]()
            with server.client() as client:
                for _ in range(40):  # some are always half way; strict gets as long as an fsync each second takes
                    begun += house.begin(2, refused=1, seconds=0.1)
                    time.sleep(0.03)
                    if client.info("persistence")["aof_pending_bio_fsync"]:
                        break
                before = house.claims
                begun += house.begin(20, refused=5, seconds=0.05)
                until(lambda before=before: house.claims > before + 10, "they are under way")
                stall.kill_the_server()
            server.start()
            known = [run for run in begun if house.store.load_runs([run.id])[0] is not None]
            gone |= {run.id for run in begun} - {run.id for run in known}
            assert set(house.statuses(known, seconds=60)) <= {"completed", "compensated"}
            repeated = sum(times - 1 for times in house.told("did").values())
            if (gone and repeated) or durability == "strict":
                break
        assert bool(gone) == (durability == "standard")
        undone, done = house.told("undid"), house.told("did") + house.told("asked")
        for row in house.store.list_runs(limit=1000):
            steps = {f"{row.run_id}/{step}" for step in ("first", "second")}
            assert steps <= done.keys(), "what the record says was done was done"
            assert bool(steps & undone.keys()) == (row.status == "compensated")
            assert steps <= undone.keys() or row.status == "completed"
        assert durability == "standard" or repeated == 0
        assert house.failures == []
        with Redis.from_url(server.url) as client:
            check_invariants(StoreWorld(house.store, Clock(), client).snapshot())
        print(f"\n{durability}: {len(gone)} acknowledged runs gone, {repeated} effects repeated")
