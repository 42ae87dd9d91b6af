"""What the protocol would be without one of its rules: named changes of one line, in Python or in Lua.

A mutant is a text that is replaced in the source of one function, so one whose function has changed fails to be made
and does not go on as a mutant that changes nothing. teeth.py says which schedule notices it.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple
from unittest.mock import patch

from runner.store import scripts
from runner.store.scripts import Script


class Mutant(NamedTuple):
    """`where`: module:function, or a script's name."""

    name: str
    where: str
    old: str
    new: str


RUNS, STATE = "runner.store.memory.runs:RunsInMemory.", "runner.store.memory.state:MemoryState."
TASKS, TICK = "runner.store.memory.tasks:TasksInMemory.", "runner.store.memory.tick:TickInMemory."
SLOTS, CLOCK = "runner.store.memory.slots:", "runner.store.memory.state:Clock."
STEPS, BARRIER = "runner.interpreter.", "runner.worker.barrier:Barrier."

REDUNDANT = frozenset({
    # A run only goes on by itself while nothing else is in its inbox, so a commit that has not seen it go on decides
    # nothing that the entries which it has not seen could contradict.
    "a commit need not have seen that its run went on",
    "a run that went on is not in the books",
})  # fmt: skip
MUTANTS = (
    Mutant("commit without compare-and-set of the etag", RUNS + "_commit", " or run.etag != commit.etag_read", ""),
    Mutant("commit that does not look at which entries it saw", RUNS + "_commit", "if seen and", "if False and"),
    Mutant("repeated commit is not known", RUNS + "_commit", "if run.etag == commit.etag:", "if False:"),
    Mutant("a commit that ends a run leaves its tasks", RUNS + "_end", "if task.is_open:", "if False:"),
    Mutant("a commit that ends a run leaves its timers", RUNS + "_end", "if key[0] == run.run_id", "if False"),
    Mutant("a commit that ends a run leaves its watch entry", RUNS + "_end",
           "tables.watch.pop(run.run_id, None)", "pass"),
    Mutant("timers that are cleared stay", RUNS + "_go_on", "tables.timers.pop((run.run_id, name), None)", "pass"),
    Mutant("timers are not set", RUNS + "_go_on", "tables.timers[run.run_id, name] = due_at_ms", "pass"),
    Mutant("a run with more in its inbox is not handed out after a commit", RUNS + "_go_on", "if run.has_work:",
           "if run.again:"),
    Mutant("start of a key that was used", RUNS + "_start", "if there is not None:", "if False:"),
    Mutant("repeated start is not known", RUNS + "_start", "there.nonce == new.nonce", "False"),
    Mutant("repeated take is not known", RUNS + "take_runs", "last_nonce == nonce", "False"),
    Mutant("taken runs are not watched for their engine", RUNS + "take_runs", "now + lease_ms", "10**18"),
    Mutant("repeated request is not known", RUNS + "_post", "if request.nonce in run.requests:", "if False:"),
    Mutant("revoked tasks are not answered for", RUNS + "_revoke",
           'run.inbox.append(InboxEntry("revoked", now, path))', "pass"),
    Mutant("drain kills what is claimed", RUNS + "_revoke", ' and kill:', ":"),
    Mutant("cancel does not reach what is claimed", RUNS + "_revoke", "task.cancelled = True", "pass"),
    Mutant("fences do not increase", STATE + "dispatch", "max(run.fence + 1, now_ms * 1000)",
           "now_ms // 1000 * 1000000"),
    Mutant("what a child says is lost", RUNS + "_tell",
           'run.inbox.append(InboxEntry("told", now, body=body))', "pass"),
    Mutant("outcome under any token", TASKS + "_complete", " or task.token != completion.token", ""),
    Mutant("outcome of any process", TASKS + "_complete", ' or task.process != process', ""),
    Mutant("outcome does not wake its run", TASKS + "_complete", "tables.wake(run, now)", "pass"),
    Mutant("a commit need not have seen that its run went on", RUNS + "_commit",
           "if commit.entries_seen < run.ahead:", "if False:"),
    Mutant("a run goes on past what waits in its inbox", TASKS + "_hand_on", " or position != len(run.inbox)", ""),
    Mutant("a run that went on is not in the books", TASKS + "_hand_on", "run.ahead = position + 1", "pass"),
    Mutant("repeated exchange is not known", TASKS + "exchange", "if holder.nonce != nonce:", "if True:"),
    Mutant("lease shorter than the heartbeat", TASKS + "_begin", "now + 2 * lease_ms", "now + 2000"),
    Mutant("heartbeats do not extend leases", TASKS + "beat",
           "tables.deadlines[ref] = now + 2 * lease_ms", "pass"),
    Mutant("the id of a reaped process comes back", TASKS + "register", "if process.id in tables.reaped:",
           "if False:"),
    Mutant("no grace after an outage", CLOCK + "open_grace", "return now_ms < self.grace_until_ms", "return False"),
    Mutant("time runs backwards", CLOCK + "now_ms", "if now < self.last_ms:", "if False:"),
    Mutant("queued tasks have no deadline", STATE + "enqueue", "self.deadlines[ref] = ", "_ = "),
    Mutant("a lost queue entry is not pushed again", TICK + "_expire_tasks",
           "tables.look_after_queued(ref, task, front, now)", "tables.look_after_queued(ref, task, front, now) > 1"),
    Mutant("queued tasks are pushed again behind a backlog", STATE + "look_after_queued",
           "ref not in front and not lies_behind", "True"),
    Mutant("a lost task is not told", STATE + "lose", 'run.inbox.append(InboxEntry("lost", now_ms, ref[1], '
           'task.claimed_at_ms, task.process))', "pass"),
    Mutant("leases never end", TICK + "_expire_tasks", "tables.lose(ref, task, now)\n            lost += 1",
           "tables.deadlines[ref] = now + 1000"),
    Mutant("queue timeout is not told", TICK + "_expire_tasks",
           'run.inbox.append(InboxEntry("queue_timeout", now, ref[1]))', "pass"),
    Mutant("the watch hands nothing out", TICK + "_rearm_runs",
           "rearmed += tables.ready_again(run_id, now, even_parked=True)", "pass"),
    Mutant("timers fire and are not told", TICK + "_fire_timers", 'run.inbox.append(InboxEntry("timer", now, name))',
           "pass"),
    Mutant("a slot takes any number", SLOTS + "take_place",
           "full = len(state.holders) >= state.limit or bool(state.line)", "full = False"),
    Mutant("a slot is not given back", SLOTS + "move_place", "gives = run.terminal or ", "gives = "),
    Mutant("a slot that is free is given to nobody", SLOTS + "admit_waiting", "while state.line and ",
           "while False and "),
    Mutant("a quota is not counted", "runner.store.memory.quota:room",
           "most = min(most, quota.max_concurrency - _count_busy(tables, queue, quota.max_concurrency, now, lease_ms))",
           "pass"),
    Mutant("a quota's slot leaks with its process", "runner.store.memory.quota:_count_busy",
           "del busy[ref, process]", "pass"),
    # -- the interpreter ----------------------------------------------------------------------------
    Mutant("a clean failure settles what was unknown", STEPS + "operation:_after_action",
           "if node.unknown else", "if node.last == 'unknown' else"),
    Mutant("what is unknown is not undone", STEPS + "undo:needs_undo", "and node.effect",
           "and node.effect and node.status.value != 'unknown' and not node.unknown"),
    Mutant("a join waits for nobody", STEPS + "branch:decide_parallel", "if due or node.active:", "if due:"),
    Mutant("undo does not wait for what came later", STEPS + "undo:_undo_sequence",
           'return (ev.UndoStarted(at_ms, path),) if below.undo == "" else ()',
           'if below.undo == "":\n            return (ev.UndoStarted(at_ms, path),)'),
    Mutant("undo in the order in which it was done", STEPS + "undo:_undo_sequence",
           "range(min(node.undo_cursor, len(place.children) - 1), -1, -1)",
           "range(min(node.undo_cursor, len(place.children) - 1) + 1)"),
    Mutant("undo of all at once", STEPS + "undo:_undo_sequence",
           'return (ev.UndoStarted(at_ms, path),) if below.undo == "" else ()',
           'return [ev.UndoStarted(at_ms, each.path) for name in place.children[position::-1]\n'
           '                    if (each := run.nodes.get(child(node.path, name))) is not None and each.undo == ""]'),
    Mutant("the way back does not wait for what is in flight", STEPS + "ending:decide_run",
           'if header.ending and root.rest and root.undo == "":', 'if header.ending and root.undo == "":'),
    Mutant("not landed settles without a fence", STEPS + "settlement:_not_landed", "if node.fenced:", "if True:"),
    Mutant("the last verification does not fence", STEPS + "settlement:verify",
           "fencing = fencing and not must_go_on(plan, run, node, error_of(node))", "fencing = False"),
    Mutant("attempts without end", STEPS + "attempt:may_retry", "or node.spent >= retry.max_attempts ", ""),
    Mutant("undo attempts without end", STEPS + "undo:_undo_operation",
           "or node.undo_spent >= call.retry.max_attempts", ""),
    Mutant("a run goes back over its pivot", STEPS + "ending:too_late", 'if header.pivot == "passed":', "if False:"),
    # -- the barrier --------------------------------------------------------------------------------
    Mutant("a verification says fenced and plants nothing", BARRIER + "_enter_verification",
           'self._planted = self._rows.insert(step_ref, "action", "verify")', "self._planted = True"),
    Mutant("an undo of nothing plants nothing", BARRIER + "_enter_undo",
           'if self._rows.insert(step_ref, "action", "compensate"):', 'if "action" not in self._rows.find(step_ref):'),
    Mutant("an action takes no notice of a tombstone", BARRIER + "_enter_action", 'if by != "action":',
           'if by != "action":\n        return\n    if by != "action":'),
    Mutant("a repeat takes effect again", BARRIER + "_repeat", "self.done = True", "self.done = self._saved = False"),
)  # fmt: skip

LUA_MUTANTS = (
    Mutant("commit without compare-and-set of the etag", "commit_runs", "etag ~= item[2] or ", ""),
    Mutant("commit that does not look at which entries it saw", "commit_runs",
           "sub(last, 1, #mark) ~= mark", "false"),
    Mutant("repeated commit is not known", "commit_runs", "if etag == item[3] then return nil, 'ok' end", ""),
    Mutant("revoked tasks are not answered for", "commit_runs",
           "put(set, 'i:' .. digits(tail), entry('revoked', ms, path, '0', '', ''))", ""),
    Mutant("drain kills what is claimed", "commit_runs", "elseif task and kill then", "elseif task then"),
    Mutant("fences do not increase", "commit_runs", "fence = max(fence + 1, us)", "fence = us"),
    Mutant("what a child says is lost", "commit_runs", "'tail', digits(tail + 1))\n      if not got[4]",
           "'tail', digits(tail))\n      if not got[4]"),
    Mutant("a commit that ends a run leaves its timers", "commit_runs",
           "if kind == 'z:' then timer_at[id .. '|' .. sub(name, 3)] = false end", ""),
    Mutant("queued tasks have no deadline", "commit_runs", "put(due, digits(due_ms), ref)", ""),
    Mutant("a slot is not given back", "commit_runs", "local gives = terminal or set[6] == 'stuck'",
           "local gives = set[6] == 'stuck'"),
    Mutant("repeated exchange is not known", "exchange_tasks", "if last[1] == nonce then", "if false then"),
    Mutant("repeated request is not known", "post_requests", "elseif got[7] then", "elseif false then"),
    Mutant("repeated take is not known", "take_runs", "last[1] and last_nonce == nonce", "false"),
    Mutant("repeated start is not known", "start_runs", "if there[1] == nonce then", "if false then"),
    Mutant("no grace after an outage", "begin_tick", "local in_grace = ms < grace", "local in_grace = false"),
    Mutant("a lost queue entry is not pushed again", "expire_tasks",
           "push_missing(queue, fronts[queue].missing)", ""),
    Mutant("queued tasks are pushed again behind a backlog", "expire_tasks", "is_lost(front, ref, task.token)", "true"),
    Mutant("the id of a reaped process comes back", "register_process",
           "if call('ZSCORE', reaped, process) then return 'reaped' end", ""),
)  # fmt: skip


@contextlib.contextmanager
def applied(mutant: Mutant) -> Iterator[None]:
    """The function's code is exchanged, so that it is another one wherever it was imported."""
    module_name, _, path = mutant.where.partition(":")
    module = importlib.import_module(module_name)
    function: Any = module
    for name in path.split("."):
        function = getattr(function, name)
    source = textwrap.dedent(inspect.getsource(function))
    count = source.count(mutant.old)
    assert count == 1, f"{mutant.name}: {mutant.where} has {mutant.old!r} {count} times"
    code = compile("from __future__ import annotations\n" + source.replace(mutant.old, mutant.new), mutant.name, "exec")
    made: dict[str, Any] = {}
    exec(code, module.__dict__, made)
    sound = function.__code__
    function.__code__ = made[function.__name__].__code__
    try:
        yield
    finally:
        function.__code__ = sound


@contextlib.contextmanager
def applied_in_lua(mutant: Mutant) -> Iterator[None]:
    sound = scripts.load_script(mutant.where)
    assert mutant.old in sound.source, f"{mutant.name}: {mutant.where}.lua has no {mutant.old!r}"
    source = sound.source.replace(mutant.old, mutant.new)
    changed = Script(sound.name, source, scripts.hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
    load = scripts.load_script
    with patch.object(scripts, "load_script", lambda name: changed if name == mutant.where else load(name)):
        yield
