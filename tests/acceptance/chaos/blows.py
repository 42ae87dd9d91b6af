"""Who is hit next, and how: drawn from the seed.

Rule: nine of ten blows hit what is at work: a process that has registered, and of a role (engine, worker, server) under
which something has happened since it was hit last. One of ten hits anything, also what is just starting. If all of them
did, a slow machine would spend the chaos on starting processes that are killed before they have done anything: a
standstill by arithmetic, and nobody's failure.
"""

from __future__ import annotations

from random import Random

from tests.acceptance.chaos.cluster import Cluster, Member
from tests.acceptance.chaos.recovery import Recovery, Watch

WEIGHTS = {
    "kill engine": 6,
    "kill worker": 5,  # the supervisor; its child has to notice
    "kill worker and child": 2,
    "kill child": 4,
    "kill server": 3,
    "stop engine": 2,
    "stop worker": 2,  # the supervisor alone: its child goes on
    "stop worker and child": 2,
    "stop child": 1,
    "stop server": 1,
}
MOST_STOPPED = 3
AT_RANDOM = 0.1
ROLES = ("engine", "worker", "server")


class Blows:
    """`strike` once."""

    def __init__(self, cluster: Cluster, recovery: Recovery, random: Random, lease_s: float) -> None:
        self.struck: dict[str, int] = {}
        self.missed = 0
        self._hit_at: dict[str, int] = {}
        self._cluster = cluster
        self._recovery = recovery
        self._random = random
        self._lease_s = lease_s

    def strike(self, seq: int) -> None:
        """One blow; none if nobody is at work. `seq`: the ledger's last row."""
        roles = [role for role in ROLES if seq > self._hit_at.get(role, -1)]
        present = self._recovery.present()
        if self._random.random() < AT_RANDOM:
            roles, present = list(ROLES), None
        targets = {
            role: [each for each in self._cluster.exposed(role) if present is None or each.pid in present]
            for role in roles if role != "server"
        }
        weights = {
            what: weight for what, weight in WEIGHTS.items()
            if (role := _role(what)) in roles and (role == "server" or targets[role])
        }
        if not weights:
            self.missed += 1
            return
        what = self._random.choices(list(weights), list(weights.values()))[0]
        if what.startswith("stop") and len(self._cluster.stopped()) >= MOST_STOPPED:
            what = what.replace("stop", "kill")
        self._hit_at[_role(what)] = seq
        if what.endswith("server"):
            self._hit_server(what, self._random.random())
        else:
            self._hit(what, self._random.choice(targets[_role(what)]))

    def _hit_server(self, what: str, part: float) -> None:
        if what == "stop server" and self._cluster.is_server_stopped:
            return
        watch = self._recovery.look(0)
        if what == "kill server":
            self._cluster.kill_server()
        else:
            # Mostly shorter than anybody gives up; one in five longer than a lease.
            self._cluster.stop_server(1.2 * self._lease_s if part < 0.2 else 0.2 + part)
        self._note(what, watch)

    def _hit(self, what: str, member: Member) -> None:
        watch = self._recovery.look(member.pid)
        children = member.children()
        if what == "kill child":
            for pid in children:
                self._cluster.kill_process(pid)
        elif what.startswith("kill"):
            self._cluster.kill(member, *(children if what.endswith("child") else ()))
        else:
            pids = {"stop child": children, "stop worker and child": [member.pid, *children]}.get(what, [member.pid])
            if not pids:
                return
            self._cluster.stop(member, pids, self._lease_s * self._random.uniform(1.1, 2.6))
        self._note(what, watch)

    def _note(self, what: str, watch: Watch) -> None:
        self.struck[what] = self.struck.get(what, 0) + 1
        self._recovery.begin(what, watch)


def _role(what: str) -> str:
    return next((role for role in ("engine", "server") if what.endswith(role)), "worker")
