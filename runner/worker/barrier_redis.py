"""The barrier for effects in a Redis of the user's own: check, effect and row in one script.

A script runs alone and is not rolled back, so the effect must check before it writes; to refuse, it returns
`redis.error_reply(…)` before its first write, and then no row is left. On a cluster `barrier_key` has to share the hash
tag of the effect's keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.errors import AlreadyUndone
from runner.worker.payload import decode_json

if TYPE_CHECKING:
    from runner.worker.context import Context

KEEP_S = 30 * 86_400

# KEYS[1]: the hash of one operation, fields `by` (who planted the action's row), `action`, `compensate` … (results).
# ARGV: phase, fencing ("1" or ""), how long to keep the row, in seconds; then the effect's own.
_SCRIPT = """
local function effect(KEYS, ARGV)
%s
end
local key, phase, keep = KEYS[1], ARGV[1], ARGV[3]
local by = redis.call('HGET', key, 'by')
local function plant(field, value)
  redis.call('HSET', key, field, value)
  redis.call('EXPIRE', key, keep)
end
if phase == 'verify' then
  if not by and ARGV[2] == '1' then
    plant('by', 'verify')
    by = 'verify'
  end
  if by == 'action' then return {'done', redis.call('HGET', key, 'action')} end
  return {by and 'fenced' or 'absent', 'null'}
end
if phase == 'action' then
  if by and (by ~= 'action' or redis.call('HEXISTS', key, 'compensate') == 1) then return {'undone', by} end
elseif phase == 'compensate' and by ~= 'action' then
  if not by then plant('by', 'compensate') end
  return {'empty', 'null'}
end
local stored = redis.call('HGET', key, phase)
if stored then return {'done', stored} end
local keys, arguments = {}, {}
for position = 2, #KEYS do keys[#keys + 1] = KEYS[position] end
for position = 4, #ARGV do arguments[#arguments + 1] = ARGV[position] end
local result = effect(keys, arguments)
if type(result) == 'table' and result.err then return result end
if result == nil then result = 'null' elseif type(result) ~= 'string' then result = cjson.encode(result) end
if phase == 'action' then plant('by', 'action') end
plant(phase, result)
return {'ran', result}
"""


@dataclass(frozen=True, slots=True)
class Once:
    """done: it was not run this time. empty: an undo whose action never took effect. result: JSON, decoded."""

    done: bool
    empty: bool
    result: Any


def run_once(
    context: Context,
    client: Any,
    effect: str,
    *,
    keys: Sequence[str] = (),
    args: Sequence[str | bytes | int | float] = (),
    barrier_key: str = "",
    keep_s: int = KEEP_S,
) -> Once:
    """Run the Lua text `effect` (over its own KEYS and ARGV; it returns JSON text or nothing) unless it is done.

    In phase verify nothing is run, and `done` says whether the action took effect. Raises AlreadyUndone as ctx.barrier
    does.
    """
    fencing = "1" if context.fencing else ""
    row = barrier_key or f"sagarun:barrier:{context.step_ref}"
    script = _SCRIPT % effect.replace("\r\n", "\n")
    answer, text = client.eval(script, 1 + len(keys), row, *keys, context.phase, fencing, keep_s, *args)
    answer = answer.decode() if isinstance(answer, bytes) else answer
    if answer == "undone":
        raise AlreadyUndone(f"{context.step_ref} was undone or fenced before it ran")
    if answer == "fenced":
        context._fenced = True
    return Once(done=answer in ("done", "empty"), empty=answer == "empty", result=decode_json(text))
