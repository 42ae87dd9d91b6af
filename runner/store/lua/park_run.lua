#!lua flags=allow-oom
-- Set a run aside whose interpretation broke: until a delay is over, or (stuck) until it is asked something.
--
-- KEYS 1 clock hash
--      2 ready zset  run id -> since when
--      3 watch zset  run id -> when somebody must look after it
--      4 wake:runs list tokens that idle engines block on
-- ARGV 1 now_ms
--      2 run_id
--      3 etag
--      4 nonce
--      5 delay_ms     from now
--      6 stuck_at_ms  when to look after a run that only a request wakes; 0: not stuck
--      7 error
-- DERIVED run:<run_id> hash, slot:<name> hash, holders:<name> zset, line:<name> zset
-- RETURNS how often in a row it was parked; 0: nothing was done; tampered
local clock, ready, watch, wake_runs = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'zset', 'list'})
if wrong then return wrong end
local id, etag, nonce, delay_ms, stuck_at_ms, reason = text(), text(), text(), number(), number(), text()
wrong = refuse_arguments()
if wrong then return wrong end

local run = prefix .. 'run:' .. id
local got = try('HMGET', run, 'etag', 'end', 'parked', 'park_nonce', 'slot')
if failed(got) then return 'tampered' end
local parked = whole(got[3]) or 0
if got[4] == nonce then return digits(parked) end
if got[1] ~= etag or got[2] == '1' then return '0' end

local ms = now()
call('ZREM', ready, id)
call('HSET', run, 'parked', digits(parked + 1), 'park_nonce', nonce, 'broken', reason)
call('ZADD', watch, digits(stuck_at_ms > 0 and stuck_at_ms or ms + delay_ms), id)
local state, name = slot_parts(got[5])
if state == 'H' and stuck_at_ms > 0 then
  local _, holders = slot_keys(name)
  local woken = {}
  call('HSET', run, 'slot', 'F|' .. name)
  try('ZREM', holders, id)
  admit_waiting(name, ms, woken)
  make_ready(ready, wake_runs, woken, ms)
end
return digits(parked + 1)
