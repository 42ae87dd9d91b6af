#!lua flags=allow-oom
-- Decide about open tasks that are due: lost, never claimed in time, lost from their queue, or only waiting.
--
-- KEYS 1 clock     hash  also the grace
--      2 deadlines zset  run id|path|token -> when its lease, queue time or repair is due
--      3 ready     zset  run id -> since when
--      4 wake:runs list  tokens that idle engines block on
-- ARGV 1 now_ms
--      2 limit
--      3 repair_ms
--      4 max_repair_ms
-- DERIVED run:<run_id> hash, q:<queue> list, wake:q:<queue> list, held:<process> set
-- RETURNS {lost, queue timeouts, pushed again}
local clock, deadlines, ready, wake_runs = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'zset', 'list'})
if wrong then return wrong end
local limit, repair_ms, max_repair_ms = number(1000), number(), number()
wrong = refuse_arguments()
if wrong then return wrong end

local ms = now()
local grace_ms = whole(call('HGET', clock, 'grace')) or 0
local in_grace = ms < grace_ms
local gone, later, woken, counts = {}, {}, {}, {0, 0, 0}

local function close(run, task, got, kind)
  call('HSET', run, 't:' .. task.path, '', 'm:' .. task.path, '', 'tail', digits(whole(got[2]) + 1),
    'i:' .. digits(whole(got[2])), entry(kind, ms, task.path, task.claimed_ms, task.process, ''))
  gone[#gone + 1] = task.ref
  if not got[3] then woken[#woken + 1] = task.id end
end

-- Queues are in the order of their fences, but for runs that were committed together (their fences begin at the same
-- microsecond). So a ref is lost exactly if the next one to be popped is younger, by more than one script can spread.
-- Behind a backlog it only gets a longer deadline, or every waiting task would be doubled.
local function is_lost(front, token)
  return not front or fence_of(match(front, '^[^|]*|[^|]*|([^|]*)|')) >= fence_of(token) + 1000
end

local function repair(task)
  local key = prefix .. 'q:' .. task.queue
  local front = try('LINDEX', key, 0)
  if not failed(front) and is_lost(front, task.token) then
    call('LPUSH', key, task.ref .. '|' .. task.payload)
    push_token(prefix .. 'wake:q:' .. task.queue)
    counts[3] = counts[3] + 1
  end
  local due_ms = ms + min(max(repair_ms, ms - whole(task.queued_ms)), max_repair_ms)
  local timeout_ms = whole(task.timeout_ms)
  if timeout_ms > 0 then due_ms = min(due_ms, max(timeout_ms, grace_ms)) end
  put(later, digits(due_ms), task.ref)
end

for _, ref in ipairs(call('ZRANGEBYSCORE', deadlines, '-inf', digits(ms), 'LIMIT', 0, limit)) do
  local id, path, token = match(ref, '^([^|]*)|([^|]*)|([^|]*)$')
  local run = prefix .. 'run:' .. (id or '')
  local got = try('HMGET', run, 't:' .. (path or ''), 'tail', 'parked')
  local task = not failed(got) and parse_task(got[1])
  if failed(got) or (task and not (whole(got[2]) and whole(task.queued_ms) and whole(task.timeout_ms))) then
    put(later, digits(ms + repair_ms), ref)
  elseif not task or task.token ~= token then gone[#gone + 1] = ref
  else
    task.id, task.path, task.ref = id, path, ref
    local timeout_ms = whole(task.timeout_ms)
    if task.state == 'R' and in_grace then put(later, digits(grace_ms), ref)
    elseif task.state == 'R' then
      close(run, task, got, 'lost')
      try('SREM', prefix .. 'held:' .. task.process, ref)
      counts[1] = counts[1] + 1
    elseif timeout_ms > 0 and timeout_ms <= ms and not in_grace then
      close(run, task, got, 'queue_timeout')
      try('LREM', prefix .. 'q:' .. task.queue, 1, ref .. '|' .. task.payload)
      counts[2] = counts[2] + 1
    else repair(task) end
  end
end
all('ZADD', deadlines, later)
all('ZREM', deadlines, gone)
make_ready(ready, wake_runs, woken, ms)
return counts
