#!lua flags=allow-oom
-- Look after runs of which nothing was heard: hand them out again, or put their lost deadlines back.
--
-- KEYS 1 clock     hash
--      2 watch     zset  run id -> when somebody must look after it
--      3 ready     zset  run id -> since when
--      4 deadlines zset  run id|path|token -> when its lease, queue time or repair is due
--      5 timers    zset  run id|name -> when due
--      6 wake:runs list  tokens that idle engines block on
-- ARGV 1 now_ms
--      2 limit
--      3 watch_ms
--      4 max_watch_ms
-- DERIVED run:<run_id> hash, slot:<name> hash, holders:<name> zset, line:<name> zset
-- RETURNS how many runs are handed out again
local clock, watch, ready, deadlines, timers, wake_runs = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'zset', 'zset', 'zset', 'list'})
if wrong then return wrong end
local limit, watch_ms, max_watch_ms = number(1000), number(), number()
wrong = refuse_arguments()
if wrong then return wrong end

local ms, us = now()
local gone, later, woken, tasks_due, timers_due, slots = {}, {}, {}, {}, {}, {}

-- An idle run waits for a task or a timer, and each of these has to be in its sorted set. Whatever took
-- it out (a deleted key, a restored backup): the run's own record still knows it.
local function restore_deadlines(id, run)
  local names = {}
  for _, name in ipairs(call('HKEYS', run)) do
    local kind = sub(name, 1, 2)
    if (kind == 't:' or kind == 'z:') and #names < 200 then names[#names + 1] = name end
  end
  if #names == 0 then return end
  for i, value in ipairs(call('HMGET', run, unpack(names))) do
    local name, task = sub(names[i], 3), parse_task(value)
    if sub(names[i], 1, 1) == 'z' then
      if whole(value) then put(timers_due, digits(whole(value)), id .. '|' .. name) end
    elseif task then put(tasks_due, digits(ms), id .. '|' .. name .. '|' .. task.token) end
  end
end

-- The run's own record knows whether it holds its slot or waits for it. True if it waits.
local function restore_place(id, value)
  local state, name = slot_parts(value)
  if not state or state == 'F' then return false end
  local _, holders, line = slot_keys(name)
  if state == 'H' then try('ZADD', holders, 'NX', digits(ms), id) return false end
  try('ZADD', line, 'NX', digits(us), id)
  slots[name] = true
  return true
end

for _, id in ipairs(call('ZRANGEBYSCORE', watch, '-inf', digits(ms), 'LIMIT', 0, limit)) do
  local run = prefix .. 'run:' .. id
  local got = try('HMGET', run, 'etag', 'end', 'again', 'head', 'tail', 'updated', 'slot')
  local idle_ms = 0
  if not failed(got) and (not got[1] or got[2] == '1') then gone[#gone + 1] = id
  else
    if failed(got) then idle_ms = 0
    elseif got[7] and restore_place(id, got[7]) then idle_ms = ms - (whole(got[6]) or ms)
    elseif got[3] == '1' or got[4] ~= got[5] then woken[#woken + 1] = id
    else
      idle_ms = ms - (whole(got[6]) or ms)
      restore_deadlines(id, run)
    end
    put(later, digits(ms + min(max(watch_ms, idle_ms), max_watch_ms)), id)
  end
end
all('ZADD', watch, later)
all('ZREM', watch, gone)
if #tasks_due > 0 then call('ZADD', deadlines, 'NX', unpack(tasks_due, 1, min(#tasks_due, 4000))) end
if #timers_due > 0 then call('ZADD', timers, 'NX', unpack(timers_due, 1, min(#timers_due, 4000))) end
for name in pairs(slots) do
  check_holders(name, ms)
  admit_waiting(name, ms, woken)
end
return make_ready(ready, wake_runs, woken, ms)
