#!lua flags=allow-oom
-- Put an entry into the inbox of every run with a timer that is due.
--
-- KEYS 1 clock     hash
--      2 timers    zset  run id|name -> when due
--      3 ready     zset  run id -> since when
--      4 wake:runs list  tokens that idle engines block on
-- ARGV 1 now_ms
--      2 limit
--      3 retry_ms  when to look again after a run whose record does not fit
-- DERIVED run:<run_id> hash
-- RETURNS how many timers fired
local clock, timers, ready, wake_runs = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'zset', 'list'})
if wrong then return wrong end
local limit, retry_ms = number(1000), number()
wrong = refuse_arguments()
if wrong then return wrong end

local ms = now()
local gone, later, woken, fired = {}, {}, {}, 0
for _, member in ipairs(call('ZRANGEBYSCORE', timers, '-inf', digits(ms), 'LIMIT', 0, limit)) do
  local id, name = match(member, '^([^|]*)|(.*)$')
  local run = prefix .. 'run:' .. (id or '')
  local got = try('HMGET', run, 'z:' .. (name or ''), 'tail', 'parked')
  local set, tail = not failed(got) and got[1], not failed(got) and whole(got[2])
  if failed(got) or (set and set ~= '' and not tail) then
    put(later, digits(ms + retry_ms), member)
  else
    gone[#gone + 1] = member
    -- Only a timer that its run knows: cleared ones, and those of ended runs, are dropped.
    if set and set ~= '' then
      call('HSET', run, 'z:' .. name, '', 'i:' .. digits(tail), entry('timer', ms, name, '0', '', ''),
        'tail', digits(tail + 1))
      if not got[3] then woken[#woken + 1] = id end
      fired = fired + 1
    end
  end
end
all('ZADD', timers, later)
all('ZREM', timers, gone)
make_ready(ready, wake_runs, woken, ms)
return fired
