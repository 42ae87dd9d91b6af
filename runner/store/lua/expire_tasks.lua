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
  call('HSET', run, 't:' .. task.path, '', 'tail', digits(whole(got[2]) + 1),
    'i:' .. digits(whole(got[2])), entry(kind, ms, task.path, task.claimed_ms, task.process, ''))
  gone[#gone + 1] = task.ref
  if not got[3] then woken[#woken + 1] = task.id end
end

local function fence_in(ref) return fence_of(match(ref, '^[^|]*|[^|]*|([^|]*)|')) end

-- By queue: its first refs when it was first looked at, and those that are missing there. False: it is no list.
local fronts, repaired = {}, {}
local function front_of(queue)
  if fronts[queue] == nil then
    local refs = try('LRANGE', prefix .. 'q:' .. queue, 0, 199)
    fronts[queue] = not failed(refs) and {refs = refs, known = {}, missing = {}}
    if fronts[queue] then
      for _, ref in ipairs(refs) do fronts[queue].known[ref] = true end
    end
  end
  return fronts[queue]
end

-- Queues are in the order of their fences, but for runs that were committed together (their fences begin at the same
-- microsecond). So a ref is lost exactly if it is not among the first, and there are no others or the last of them is
-- younger, by more than one script can spread. Behind a backlog it only gets a longer deadline, or every waiting task
-- would be doubled.
local function is_lost(front, ref, token)
  local last = front.refs[200]
  return not front.known[ref] and (not last or fence_in(last) >= fence_of(token) + 1000)
end

-- What is missing goes between the others, so that the order stays.
local function push_missing(queue, missing)
  local key = prefix .. 'q:' .. queue
  local refs, fences, turned = call('LRANGE', key, 0, 199), {}, {}
  if #refs > 0 then call('LPOP', key, #refs) end
  for _, ref in ipairs(missing) do refs[#refs + 1] = ref end
  for _, ref in ipairs(refs) do fences[ref] = fence_in(ref) end
  table.sort(refs, function(one, other)
    if fences[one] ~= fences[other] then return fences[one] < fences[other] end
    return one < other
  end)
  for i = #refs, 1, -1 do turned[#turned + 1] = refs[i] end
  all('LPUSH', key, turned)
  push_token(prefix .. 'wake:q:' .. queue)
  counts[3] = counts[3] + #missing
end

local function repair(task)
  local front, ref = front_of(task.queue), task.ref .. '|' .. task.payload
  if front and is_lost(front, ref, task.token) then
    if #front.missing == 0 then repaired[#repaired + 1] = task.queue end
    front.missing[#front.missing + 1] = ref
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
for _, queue in ipairs(repaired) do push_missing(queue, fronts[queue].missing) end
all('ZADD', deadlines, later)
all('ZREM', deadlines, gone)
make_ready(ready, wake_runs, woken, ms)
return counts
