#!lua flags=allow-oom
-- Write the next state of runs and what follows from it: tasks, timers, history. Compare-and-set by etag.
--
-- KEYS 1 clock     hash
--      2 ready     zset  run id -> since when
--      3 watch     zset  run id -> when somebody must look after it
--      4 deadlines zset  run id|path|token -> when its lease, queue time or repair is due
--      5 timers    zset  run id|name -> when due
--      6 expiring  zset  terminal run id -> when its record goes
--      7 queues    set   names of queues that ever held a task
--      8 wake:runs list  tokens that idle engines block on
-- ARGV 1 now_ms
--      2 watch_ms
--      3 repair_ms
--      4 commits   how many; then for each: run_id etag_read etag entries_seen state status terminal again
--                  retention_ms, and six lists with their lengths: writes (name value), dispatches (path queue
--                  message payload queue_timeout_ms), revokes, timers (name due_at_ms), timers_cleared, history
-- DERIVED run:<run_id> hash, history:<run_id> list, q:<queue> list, wake:q:<queue> list, held:<process> set
-- RETURNS for each commit: ok | stale | gone | tampered
local clock, ready, watch, deadlines, timers, expiring, queues, wake_runs = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'zset', 'zset', 'zset', 'zset', 'set', 'list'})
if wrong then return wrong end

local function parse_dispatch()
  return {path = text(), queue = text(), message = text(), payload = text(), timeout_ms = number()}
end

local function parse_timer() return {name = text(), due_ms = number()} end

-- The arguments of the run's HSET, begun with what callers named themselves.
local function parse_writes()
  local set = {}
  for i = 1, count() do set[2 * i - 1], set[2 * i] = 'w:' .. text(), text() end
  return set
end

local function parse_commit()
  local item = {
    id = text(), read = text(), etag = text(), seen = number(4000), state = text(), status = text(),
    terminal = text() == '1', again = text() == '1', retention_ms = number(), set = parse_writes(),
    dispatches = groups(parse_dispatch), revokes = texts(), timers = groups(parse_timer), cleared = texts(),
    history = texts(),
  }
  if #item.dispatches > 100 or #item.revokes > 1000 then refused = 'too many of one commit' end
  return item
end

local watch_ms, repair_ms, items = number(), number(), groups(parse_commit)
wrong = refuse_arguments()
if wrong then return wrong end

local ms, us = now()
local is_list = {}  -- by queue, so that its type is asked for once
-- By member, and written once at the end: a score, or false to take it out. A later commit of the batch wins.
local scores = {[watch] = {}, [deadlines] = {}, [timers] = {}, [expiring] = {}}
local pushed, pushes, woken, ended = {}, {}, {}, {}

local function queue_is_sound(queue)
  if is_list[queue] == nil then
    local found = call('TYPE', prefix .. 'q:' .. queue).ok
    is_list[queue] = found == 'none' or found == 'list'
  end
  return is_list[queue]
end

-- The run as it is, or nil and the answer. Everything that could refuse the commit is looked at here.
local function read_run(item)
  local fields = {'etag', 'end', 'head', 'tail', 'fence', 'parked', 'again'}
  for _, dispatch in ipairs(item.dispatches) do fields[#fields + 1] = 't:' .. dispatch.path end
  for _, path in ipairs(item.revokes) do fields[#fields + 1] = 't:' .. path end
  local got = try('HMGET', prefix .. 'run:' .. item.id, unpack(fields))
  if failed(got) then return nil, 'tampered' end
  if not got[1] then return nil, 'gone' end
  if got[1] == item.etag then return nil, 'ok' end
  local head, tail = whole(got[3]), whole(got[4])
  local run = {head = head, was_head = head, tail = tail, was_tail = tail, fence = whole(got[5]), parked = got[6],
    again = got[7], revoked = nothing}
  if got[1] ~= item.read or got[2] == '1' then return nil, 'stale' end
  if not run.head or not run.tail or not run.fence or run.head > run.tail then return nil, 'tampered' end
  if run.tail - run.head < item.seen then return nil, 'stale' end
  for i, dispatch in ipairs(item.dispatches) do
    if parse_task(got[7 + i]) or not queue_is_sound(dispatch.queue) then return nil, 'tampered' end
  end
  if #item.revokes > 0 then run.revoked = {} end
  for i, path in ipairs(item.revokes) do run.revoked[path] = parse_task(got[7 + #item.dispatches + i]) end
  return run
end

local function consume_entries(item, run, key)
  local consumed = {}
  for i = run.head, run.head + item.seen - 1 do
    -- A few are emptied by the HSET that comes anyway, and soon written again.
    if item.seen <= 4 then put(item.set, 'i:' .. digits(i), '') else consumed[#consumed + 1] = 'i:' .. digits(i) end
  end
  all('HDEL', key, consumed)
  run.head = run.head + item.seen
  if run.head == run.tail then run.head, run.tail = 0, 0 end
end

local function dispatch_tasks(item, run)
  for _, dispatch in ipairs(item.dispatches) do
    run.fence = max(run.fence + 1, us)
    local token = digits(run.fence) .. '-' .. item.etag
    local timeout_ms = dispatch.timeout_ms > 0 and ms + dispatch.timeout_ms or 0
    local ref = item.id .. '|' .. dispatch.path .. '|' .. token
    put(item.set, 't:' .. dispatch.path, task_record({state = 'Q', token = token, queue = dispatch.queue,
      queued_ms = digits(ms), timeout_ms = digits(timeout_ms), process = '', claimed_ms = '0', cancelled = '0',
      payload = dispatch.payload}))
    put(item.set, 'm:' .. dispatch.path, dispatch.message)
    scores[deadlines][ref] = timeout_ms > 0 and min(timeout_ms, ms + repair_ms) or ms + repair_ms
    if not pushes[dispatch.queue] then
      pushes[dispatch.queue] = {}
      pushed[#pushed + 1] = dispatch.queue
    end
    local list = pushes[dispatch.queue]
    list[#list + 1] = ref .. '|' .. dispatch.payload
  end
end

-- Queued: taken back, and its run is told. Running: only marked, because its outcome still comes.
local function revoke_tasks(item, run)
  for _, path in ipairs(item.revokes) do
    local task = run.revoked[path]
    run.revoked[path] = nil
    if task and task.state == 'Q' then
      local ref = item.id .. '|' .. path .. '|' .. task.token
      scores[deadlines][ref] = false
      try('LREM', prefix .. 'q:' .. task.queue, 1, ref .. '|' .. task.payload)
      put(item.set, 't:' .. path, '')
      put(item.set, 'm:' .. path, '')
      put(item.set, 'i:' .. digits(run.tail), entry('revoked', ms, path, '0', '', ''))
      run.tail = run.tail + 1
    elseif task then
      task.cancelled = '1'
      put(item.set, 't:' .. path, task_record(task))
    end
  end
end

-- A terminal run keeps its record and its history, and nothing else.
local function end_run(item, key)
  local gone, open = {}, {}
  for _, name in ipairs(call('HKEYS', key)) do
    local kind = sub(name, 1, 2)
    if kind == 't:' then open[#open + 1] = name end
    if kind == 'z:' then scores[timers][item.id .. '|' .. sub(name, 3)] = false end
    if kind == 't:' or kind == 'm:' or kind == 'i:' or kind == 'z:' then gone[#gone + 1] = name end
  end
  for from = 1, #open, 4000 do
    for i, record in ipairs(call('HMGET', key, unpack(open, from, min(from + 3999, #open)))) do
      local task = parse_task(record)
      if task then
        local ref = item.id .. '|' .. sub(open[from + i - 1], 3) .. '|' .. task.token
        scores[deadlines][ref] = false
        if task.state == 'Q' then try('LREM', prefix .. 'q:' .. task.queue, 1, ref .. '|' .. task.payload)
        else try('SREM', prefix .. 'held:' .. task.process, ref) end
      end
    end
  end
  all('HDEL', key, gone)
  scores[watch][item.id] = false
  woken[item.id] = nil
  ended[#ended + 1] = item.id
  if item.retention_ms > 0 then scores[expiring][item.id] = ms + item.retention_ms end
end

local function write_run(item, run)
  local key, set = prefix .. 'run:' .. item.id, item.set
  -- The only write that can fail, so it comes first: nothing of this commit is written then.
  local written = #item.history > 0 and try('RPUSH', prefix .. 'history:' .. item.id, unpack(item.history))
  if failed(written) then return 'tampered' end
  consume_entries(item, run, key)
  if item.terminal then run.head, run.tail = 0, 0
  else
    revoke_tasks(item, run)
    dispatch_tasks(item, run)
    for _, name in ipairs(item.cleared) do
      scores[timers][item.id .. '|' .. name] = false
      put(set, 'z:' .. name, '')
    end
    for _, timer in ipairs(item.timers) do
      scores[timers][item.id .. '|' .. timer.name] = timer.due_ms
      put(set, 'z:' .. timer.name, digits(timer.due_ms))
    end
    scores[watch][item.id] = ms + watch_ms
    woken[item.id] = (item.again or run.tail > run.head) or nil
  end
  put(set, 'etag', item.etag)
  put(set, 'state', item.state)
  put(set, 'status', item.status)
  put(set, 'updated', digits(ms))
  if #item.dispatches > 0 then put(set, 'fence', digits(run.fence)) end
  if run.head ~= run.was_head then put(set, 'head', digits(run.head)) end
  if run.tail ~= run.was_tail then put(set, 'tail', digits(run.tail)) end
  if item.again ~= (run.again == '1') then put(set, 'again', item.again and '1' or '0') end
  if item.terminal then put(set, 'end', '1') end
  all('HSET', key, set)
  if run.parked then call('HDEL', key, 'parked', 'park_nonce', 'broken') end
  if item.terminal then end_run(item, key) end
  return 'ok'
end

local answers = {}
for i, item in ipairs(items) do
  local run, answer = read_run(item)
  answers[i] = answer or write_run(item, run)
end
for key, members in pairs(scores) do
  local add, drop = {}, {}
  for member, score in pairs(members) do
    if score then put(add, digits(score), member) else drop[#drop + 1] = member end
  end
  all('ZADD', key, add)
  all('ZREM', key, drop)
end
local new_queues = {}
for _, queue in ipairs(pushed) do
  local key = prefix .. 'q:' .. queue
  if all('RPUSH', key, pushes[queue]) == #pushes[queue] then
    push_token(prefix .. 'wake:q:' .. queue)
    new_queues[#new_queues + 1] = queue
  end
end
all('SADD', queues, new_queues)
all('ZREM', ready, ended)
local ids = {}
for id in pairs(woken) do ids[#ids + 1] = id end
make_ready(ready, wake_runs, ids, ms)
return answers
