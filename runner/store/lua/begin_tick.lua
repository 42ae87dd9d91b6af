#!lua flags=allow-oom
-- Note the time of a tick, open a grace after an outage, and say what is due.
--
-- KEYS 1 clock     hash  also the last tick and the grace
--      2 timers    zset  run id|name -> when due
--      3 deadlines zset  run id|path|token -> when its lease, queue time or repair is due
--      4 procs     zset  process id -> when it counts as dead
--      5 watch     zset  run id -> when somebody must look after it
--      6 expiring  zset  terminal run id -> when its record goes
--      7 reaped    zset  process id -> when it was reaped
-- ARGV 1 now_ms
--      2 lease_ms
--      3 tick_ms
--      4 reaped_ms  how long a reaped id is remembered
--      5 limit      dead processes of one call
-- DERIVED none
-- RETURNS {1 in a grace, ms until the next due time, dead processes, then how many are due: timers,
--         deadlines, watch, expiring; and the time in ms}
local clock, timers, deadlines, procs, watch, expiring, reaped = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'zset', 'zset', 'zset', 'zset', 'zset'})
if wrong then return wrong end
local lease_ms, tick_ms, reaped_ms, limit = number(), number(), number(), number(1000)
wrong = refuse_arguments()
if wrong then return wrong end

local ms = now()
local past = call('HMGET', clock, 'tick', 'grace', 'chain')
local tick, grace, chain = whole(past[1]), whole(past[2]) or 0, whole(past[3]) or 0
local gap = tick and ms - tick or 0
local set = {'tick', digits(ms)}
if gap > max(floor(lease_ms / 2), 4 * tick_ms) then
  -- A tick outside any grace went before: a new chain. Otherwise outages follow each other, and
  -- the chain ends after two leases, or a server that flaps would never let anything expire.
  if ms > grace + gap then chain = ms end
  grace = min(ms + lease_ms, chain + 2 * lease_ms)
  put(set, 'grace', digits(grace))
  put(set, 'chain', digits(chain))
end
call('HSET', clock, unpack(set))
call('ZREMRANGEBYSCORE', reaped, '-inf', digits(max(ms - reaped_ms, 0)))

local next_due_ms = 1000
for _, key in ipairs({timers, deadlines, procs, watch}) do
  local found = call('ZRANGEBYSCORE', key, '(' .. digits(ms), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if found[2] then next_due_ms = min(next_due_ms, tonumber(found[2]) - ms) end
end
local in_grace = ms < grace
local dead = in_grace and {} or call('ZRANGEBYSCORE', procs, '-inf', digits(ms), 'LIMIT', 0, limit)
local answer = {in_grace and 1 or 0, next_due_ms, dead}
for i, key in ipairs({timers, deadlines, watch, expiring}) do
  answer[3 + i] = call('ZCOUNT', key, '-inf', digits(ms))
end
answer[8] = ms
return answer
