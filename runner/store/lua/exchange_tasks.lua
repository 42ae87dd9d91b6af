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
-- RETURNS {} if the process was reaped; else answers, one letter a completion (r recorded, d duplicate, s stale,
--         t tampered), and behind them for each task: run_id|path|token|…, queue, queued_ms, claimed_ms, message,
--         payload. One flat list: a list in the list costs the server more than what is in it.
local clock, procs, deadlines, ready, wake_runs, process_key, held = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'zset', 'zset', 'list', 'hash', 'set'})
if wrong then return wrong end
local process, nonce, lease_ms, capacity, max_bytes = text(), text(), number(), number(1000), number()
local queues, completions = texts(), count()
local first = position + 1
position = position + 5 * completions
wrong = refuse_arguments()
if wrong then return wrong end
if not call('ZSCORE', procs, process) then return {} end

local ms = now()
local runs, now_text, due_text = prefix .. 'run:', digits(ms), digits(ms + 2 * lease_ms)
local added, dropped, taken, woken = {}, {}, {}, {}

local function complete(id, path, token, lost, body)
  local key, task_field = runs .. id, 't:' .. path
  local got = try('HMGET', key, task_field, 'tail', 'parked')
  if got.err then return 't' end
  local record = got[1] or ''
  local holder, claimed_ms, held_token = match(record, '^R|([^|]*)|(%d+)|[01]|([^|]*)|')
  if held_token ~= token or holder ~= process then return record == 'D|' .. token and 'd' or 's' end
  local tail = whole(got[2])
  if not tail then return 't' end
  local what = lost == '1' and entry('lost', ms, path, claimed_ms, process, '')
    or entry('outcome', ms, path, claimed_ms, process, body)
  call('HSET', key, task_field, 'D|' .. token, 'm:' .. path, '', 'i:' .. digits(tail), what, 'tail', digits(tail + 1))
  dropped[#dropped + 1] = id .. '|' .. path .. '|' .. token
  if not got[3] then woken[#woken + 1] = id end
  return 'r'
end

-- A ref is `run id|path|token|payload`, so that one HMGET reads task, message and payload. A ref whose
-- token is not current any more was left behind by a revoke or a repair, and is dropped here.
local function read_task(ref, pattern)
  local id, path, token, payload = match(ref, '^([^|]*)|([^|]*)|([^|]*)|(.*)$')
  if not id then return nil end
  local got = try('HMGET', runs .. id, 't:' .. path, 'm:' .. path, 'w:' .. payload)
  if got.err or not got[1] then return nil end
  local claimed_ms, rest, its_token, queue, queued_ms = match(got[1], pattern)
  if its_token ~= token then return nil end
  return id, path, token, sub(got[1], rest), queue, queued_ms, claimed_ms, got[2] or '', got[3] or ''
end

local answer, refs, bytes, scanned = {''}, {}, 0, 0
local function describe(ref, queue, queued_ms, claimed_ms, message, payload)
  local size = #answer
  answer[size + 1], answer[size + 2], answer[size + 3] = ref, queue, queued_ms
  answer[size + 4], answer[size + 5], answer[size + 6] = claimed_ms, message, payload
end

local function claim(ref)
  local id, path, token, rest, queue, queued_ms, _, message, payload = read_task(
    ref, '^Q||(0)|0|()([^|]*)|([^|]*)|(%d+)|%d+|')
  if not id then return end
  call('HSET', runs .. id, 't:' .. path, claimed_record(process, now_text, '0', rest))
  local size = #taken + 1
  taken[size] = id .. '|' .. path .. '|' .. token
  added[2 * size - 1], added[2 * size] = due_text, taken[size]
  refs[size] = ref
  bytes = bytes + #message + #payload
  describe(ref, queue, queued_ms, now_text, message, payload)
end

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
      claim(ref)
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
call('ZADD', procs, due_text, process)
if last[1] == nonce then
  call('HSET', process_key, 'seen', now_text)
  answer[1] = last[2] or ''
  for ref in string.gmatch(last[3] or '', '[^\n]+') do
    local id, _, _, _, queue, queued_ms, claimed_ms, message, payload = read_task(
      ref, '^R|[^|]*|(%d+)|[01]|()([^|]*)|([^|]*)|(%d+)|%d+|')
    if id then describe(ref, queue, queued_ms, claimed_ms, message, payload) end
  end
  return answer
end
local answers = {}
for i = 1, completions do
  local from = first + 5 * (i - 1)
  answers[i] = complete(ARGV[from], ARGV[from + 1], ARGV[from + 2], ARGV[from + 3], ARGV[from + 4])
end
answer[1] = concat(answers)
if capacity > 0 then for _, queue in ipairs(queues) do claim_from(queue) end end
all('ZREM', deadlines, dropped)
all('SREM', held, dropped)
all('ZADD', deadlines, added)
all('SADD', held, taken)
call('HSET', process_key, 'nonce', nonce, 'answers', answer[1], 'claimed', concat(refs, '\n'),
  'seen', now_text)
make_ready(ready, wake_runs, woken, ms)
return answer
