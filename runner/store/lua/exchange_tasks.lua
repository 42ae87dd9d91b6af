#!lua flags=allow-oom
-- Hand in what ended at a worker process, and claim new tasks for it.
--
-- KEYS 1 clock             hash
--      2 procs             zset  process id -> when it counts as dead
--      3 deadlines         zset  run id|path|token -> when its lease, queue time or repair is due
--      4 ready             zset  run id -> since when
--      5 wake:runs         list  tokens that idle engines block on
--      6 process:<process> hash  what it was answered last, under which nonce
--      7 held:<process>    set   run id|path|token of what it holds
-- ARGV 1 now_ms
--      2 process
--      3 nonce
--      4 lease_ms
--      5 capacity
--      6 max_bytes         after which no further task is claimed
--      7 queues            how many; then each
--      8 completions       how many; then for each: run_id path token lost body
-- DERIVED run:<run_id> hash, q:<queue> list, wake:q:<queue> list
-- RETURNS {} if the process was reaped; else {answers, task...} with one letter a completion (r recorded,
--         d duplicate, s stale, t tampered) and tasks as {run_id, path, token, queue, queued_ms, claimed_ms,
--         message, payload}
local clock, procs, deadlines, ready, wake_runs, process_key, held = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'zset', 'zset', 'list', 'hash', 'set'})
if wrong then return wrong end
local process, nonce, lease_ms, capacity, max_bytes = text(), text(), number(), number(1000), number()
local queues, items = texts(), groups(function()
  return {id = text(), path = text(), token = text(), lost = text() == '1', body = text()}
end)
wrong = refuse_arguments()
if wrong then return wrong end
if not call('ZSCORE', procs, process) then return {} end

local ms = now()
local added, dropped, taken, left, woken = {}, {}, {}, {}, {}

local function complete(item)
  local run, ref = prefix .. 'run:' .. item.id, item.id .. '|' .. item.path .. '|' .. item.token
  local got = try('HMGET', run, 't:' .. item.path, 'head', 'tail', 'parked')
  if failed(got) then return 't' end
  if got[1] == 'D|' .. item.token then return 'd' end
  local task, tail = parse_task(got[1]), whole(got[3])
  if not task or task.token ~= item.token or task.state ~= 'R' or task.process ~= process then return 's' end
  if not tail then return 't' end
  local what = item.lost and entry('lost', ms, item.path, task.claimed_ms, process, '')
    or entry('outcome', ms, item.path, task.claimed_ms, process, item.body)
  call('HSET', run, 't:' .. item.path, 'D|' .. item.token, 'm:' .. item.path, '', 'i:' .. digits(tail), what,
    'tail', digits(tail + 1))
  dropped[#dropped + 1], left[#left + 1] = ref, ref
  if not got[4] then woken[#woken + 1] = item.id end
  return 'r'
end

-- A ref is `run id|path|token|payload`, so that one HMGET reads task, message and payload. A ref whose
-- token is not current any more was left behind by a revoke or a repair, and is dropped here.
local function read_task(ref, state)
  local id, path, token, payload = match(ref, '^([^|]*)|([^|]*)|([^|]*)|(.*)$')
  if not id then return nil end
  local got = try('HMGET', prefix .. 'run:' .. id, 't:' .. path, 'm:' .. path, 'w:' .. payload)
  if failed(got) then return nil end
  local task = parse_task(got[1])
  if not task or task.token ~= token or task.state ~= state then return nil end
  task.id, task.path, task.message, task.body = id, path, got[2] or '', got[3] or ''
  return task
end

local function describe(task)
  return {task.id, task.path, task.token, task.queue, task.queued_ms, task.claimed_ms, task.message, task.body}
end

local function claim(ref)
  local task = read_task(ref, 'Q')
  if not task then return nil end
  task.state, task.process, task.claimed_ms = 'R', process, digits(ms)
  call('HSET', prefix .. 'run:' .. task.id, 't:' .. task.path, task_record(task))
  local name = task.id .. '|' .. task.path .. '|' .. task.token
  put(added, digits(ms + 2 * lease_ms), name)
  taken[#taken + 1] = name
  return task
end

local answer, refs, bytes, scanned = {''}, {}, 0, 0
local function claim_from(queue)
  local key, wake = prefix .. 'q:' .. queue, prefix .. 'wake:q:' .. queue
  while #refs < capacity and scanned < 400 and bytes < max_bytes do
    local wanted = min(capacity - #refs, 50)
    local found = try('LRANGE', key, 0, wanted - 1)
    if failed(found) then return end
    local popped = 0
    for _, ref in ipairs(found) do
      if bytes >= max_bytes then break end
      popped = popped + 1
      local task = claim(ref)
      if task then
        refs[#refs + 1], answer[#answer + 1] = ref, describe(task)
        bytes = bytes + #task.message + #task.body
      end
    end
    scanned = scanned + popped
    if popped > 0 then call('LPOP', key, popped) end
    if #found < wanted and popped == #found then break end
  end
  -- What is left needs a token for the next idle process: the one there was may have woken this process.
  -- Where nothing waits any more nobody has to be woken: tokens never outlive their reason.
  local waiting = try('LLEN', key)
  if waiting == 0 then try('DEL', wake)
  elseif not failed(waiting) and call('EXISTS', wake) == 0 then push_token(wake) end
end

local last = call('HMGET', process_key, 'nonce', 'answers', 'claimed')
call('ZADD', procs, digits(ms + 2 * lease_ms), process)
if last[1] == nonce then
  call('HSET', process_key, 'seen', digits(ms))
  answer[1] = last[2] or ''
  for ref in string.gmatch(last[3] or '', '[^\n]+') do
    local task = read_task(ref, 'R')
    if task then answer[#answer + 1] = describe(task) end
  end
  return answer
end
local answers = {}
for i, item in ipairs(items) do answers[i] = complete(item) end
answer[1] = concat(answers)
if capacity > 0 then for _, queue in ipairs(queues) do claim_from(queue) end end
all('ZREM', deadlines, dropped)
all('SREM', held, left)
all('ZADD', deadlines, added)
all('SADD', held, taken)
call('HSET', process_key, 'nonce', nonce, 'answers', answer[1], 'claimed', concat(refs, '\n'),
  'seen', digits(ms))
make_ready(ready, wake_runs, woken, ms)
return answer
