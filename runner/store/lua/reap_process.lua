#!lua flags=allow-oom
-- End a process that is known or presumed dead: its tasks are lost, its taken runs are ready.
--
-- KEYS 1 clock             hash
--      2 procs             zset  process id -> when it counts as dead
--      3 reaped            zset  process id -> when it was reaped
--      4 deadlines         zset  run id|path|token -> when its lease, queue time or repair is due
--      5 ready             zset  run id -> since when
--      6 wake:runs         list  tokens that idle engines block on
--      7 process:<process> hash  its entry in the list of processes
--      8 held:<process>    set   run id|path|token of what it holds
-- ARGV 1 now_ms
--      2 process
--      3 only_if_due       1: leave a process alone that showed up since it was found due
--      4 limit             tasks of one call
-- DERIVED run:<run_id> hash
-- RETURNS {tasks lost, runs ready, tasks left for the next call}
local clock, procs, reaped, deadlines, ready, wake_runs, process_key, held = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'zset', 'zset', 'zset', 'list', 'hash', 'set'})
if wrong then return wrong end
local process, only_if_due, limit = text(), text() == '1', number(1000)
wrong = refuse_arguments()
if wrong then return wrong end

local ms = now()
local dead_at_ms = tonumber(call('ZSCORE', procs, process) or nil)
if not dead_at_ms or (only_if_due and dead_at_ms > ms) then return {0, 0, 0} end
local refs = call('SMEMBERS', held)
table.sort(refs)
local dropped, left, woken, lost = {}, {}, {}, 0
for i = 1, min(#refs, limit) do
  local id, path, token = match(refs[i], '^([^|]*)|([^|]*)|([^|]*)$')
  local run = prefix .. 'run:' .. (id or '')
  local got = try('HMGET', run, 't:' .. (path or ''), 'tail', 'parked')
  local task = not failed(got) and parse_task(got[1])
  local tail = task and whole(got[2])
  if tail and task.token == token and task.state == 'R' and task.process == process then
    call('HSET', run, 't:' .. path, '', 'tail', digits(tail + 1),
      'i:' .. digits(tail), entry('lost', ms, path, task.claimed_ms, process, ''))
    dropped[#dropped + 1] = refs[i]
    if not got[3] then woken[#woken + 1] = id end
    lost = lost + 1
  end
  left[#left + 1] = refs[i]
end
all('ZREM', deadlines, dropped)
all('SREM', held, left)
make_ready(ready, wake_runs, woken, ms)
if #refs > limit then return {lost, 0, #refs - limit} end

local taken, known = {}, call('HGETALL', process_key)
for i = 1, #known, 2 do
  local ids = find(known[i], '^took:') and match(known[i + 1], '|.*') or ''  -- behind the nonce
  for id in string.gmatch(ids, '[^|]+') do
    local got = try('HMGET', prefix .. 'run:' .. id, 'end', 'again', 'head', 'tail', 'parked')
    if not failed(got) and got[3] and got[1] ~= '1' and not got[5] and (got[2] == '1' or got[3] ~= got[4]) then
      taken[#taken + 1] = id
    end
  end
end
local rearmed = make_ready(ready, wake_runs, taken, ms)
call('ZREM', procs, process)
call('DEL', process_key, held)
call('ZADD', reaped, digits(ms), process)
return {lost, rearmed, 0}
