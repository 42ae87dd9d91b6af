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
--      8 queues            set   names of queues that ever held a task
--      9 watch             zset  run id -> when somebody must look after it
-- ARGV 1 now_ms
--      2 process
--      3 nonce
--      4 lease_ms
--      5 capacity
--      6 max_bytes         after which no further task is claimed, and no further successor dispatched
--      7 queues            how many; then each
--      8 quotas            how many; then for each: queue max_concurrency rate window_ms (0: no limit)
--      9 completions       how many; then for each: run_id path token lost body output. An output that is not empty is
--                          kept in the field w:<payload of the task>>, and the inbox entry names that field
--      10 max_relayed      bytes of body and output behind which the task's successor is dispatched, if it has one
--      11 relay_ms         since the run's last commit, after which its successor is left to an engine
--      12 repair_ms
--      13 look_ms          after which an engine looks at a run that went on by itself
-- DERIVED run:<run_id> hash, q:<queue> list, wake:q:<queue> list, busy:<queue> zset, pace:<queue> list
-- RETURNS {} if the process was reaped; else answers, one letter a completion (r recorded, d duplicate, s stale,
--         t tampered), and, where a rate holds tasks back, | and in how many ms to ask again. Behind that for each
--         task: run_id|path|token, queue, queued_ms, claimed_ms, message, payload. One flat list: a list in the list
--         costs the server more than what is in it.
local clock, procs, deadlines, ready, wake_runs, process_key, held, queues, watch = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'zset', 'zset', 'list', 'hash', 'set', 'set', 'zset'})
if wrong then return wrong end
local process, nonce, lease_ms, capacity, max_bytes = text(), text(), number(), number(1000), number()
local served, limited, quotas = texts(), {}, {}
for i = 1, count() do
  limited[i] = text()
  quotas[limited[i]] = {slots = number(1000), rate = number(10000), window_ms = number(3600000)}
end
local completions = count()
local first = position + 1
position = position + 6 * completions
local max_relayed, relay_ms, repair_ms, look_ms = number(), number(), number(), number()
wrong = refuse_arguments()
if wrong then return wrong end
if not call('ZSCORE', procs, process) then return {} end

local ms, us = now()
local runs, now_text, due_text = prefix .. 'run:', digits(ms), digits(ms + 2 * lease_ms)
local look_text = digits(ms + look_ms)
local added, dropped, taken, woken, watched = {}, {}, {}, {}, {}

local answer, bytes, scanned = {''}, 0, 0
local function describe(task, queue, queued_ms, claimed_ms, message, payload)
  local size = #answer
  answer[size + 1], answer[size + 2], answer[size + 3] = task, queue, queued_ms
  answer[size + 4], answer[size + 5], answer[size + 6] = claimed_ms, message, payload
end

-- `run id|path|token` of a task that this call claims.
local function note_claim(task, size)
  taken[#taken + 1], bytes = task, bytes + size
  put(added, due_text, task)
end

local serves = {}  -- queues from which this process may take whatever it has room for
for i = 1, #served do serves[served[i]] = not quotas[served[i]] end
local pushed, pushes, is_list = {}, {}, {}  -- queues, what goes into each, whether it is one
local relayed = 0  -- bytes of successors

local function queue_is_sound(queue)
  if is_list[queue] == nil then
    local found = call('TYPE', prefix .. 'q:' .. queue).ok
    is_list[queue] = found == 'none' or found == 'list'
  end
  return is_list[queue]
end

-- All of them texts, this many or more: to compare anything else with one raises an error.
local function unpack_texts(packed, least)
  local texts = cmsgpack.unpack(packed)
  for i = 1, max(#texts, least) do if texts[i] < '' then break end end
  return texts
end

-- See _pack_successor. Its parts, and the texts of which its input is joined.
local function unpack_successor(packed)
  local named = unpack_texts(packed, 8)
  return named, unpack_texts(named[8], 1)
end

-- Puts outputs in the places of their names (`output` is what will be in the field `kept`); nil if one is not there.
local function joined(key, parts, kept, output)
  local fields, places = {}, {}
  for i = 2, #parts, 2 do
    local field = 'w:' .. parts[i] .. '>'
    if field == kept then parts[i] = output
    else fields[#fields + 1], places[#places + 1] = field, i end
  end
  local got = #fields > 0 and try('HMGET', key, unpack(fields)) or nothing
  if got.err then return nil end
  for i = 1, #fields do
    if not got[i] then return nil end
    parts[places[i]] = got[i]
  end
  return concat(parts)
end

-- A payload as it was written; or, where it is the input of a successor, joined of the outputs as they are. Of that, no
-- JSON begins like MessagePack.
local function payload_of(key, written)
  if not written or (byte(written) or 0) < 128 then return written or '' end
  local is_packed, parts = pcall(unpack_texts, written, 1)
  return is_packed and joined(key, parts) or written
end

-- What is to be written so that the task's successor (see _pack_successor) is dispatched, and its path; nothing if it
-- must not be, or cannot: then the engine decides what comes next. Its commit must be the run's last, and nothing but
-- the outcomes before this one may have come since.
local function successor_of(id, after, key, record, etag, tail, fence, kept, output)
  local is_packed, named, parts = pcall(unpack_successor, record)
  local last_fence = whole(fence)
  if not is_packed or named[1] ~= etag or named[2] ~= tail or not last_fence or relayed >= max_bytes then
    return nothing
  end
  local timeout_ms, path, queue, payload, message = whole(named[3]), named[4], named[5], named[6], named[7]
  -- Straight to whoever ended the one before, ahead of what waits: what has begun is finished first.
  local at_once = serves[queue] and #taken < capacity and bytes < max_bytes
  local input = timeout_ms and (at_once or queue_is_sound(queue)) and joined(key, parts, kept, output)
  if not input then return nothing end
  relayed = relayed + #message + #input
  local new_fence = digits(max(last_fence + 1, us))
  local token, due_ms = new_fence .. '-' .. etag, ms + repair_ms
  if timeout_ms > 0 then
    timeout_ms = ms + timeout_ms
    due_ms = min(due_ms, timeout_ms)
  end
  local task = id .. '|' .. path .. '|' .. token
  local state = UNCLAIMED
  if at_once then
    note_claim(task, #message + #input)
    describe(task, queue, now_text, now_text, message, input)
    state = claimed_record(process, now_text, '0', '')
  else
    put(added, digits(due_ms), task)
    if not pushes[queue] then
      pushes[queue], pushed[#pushed + 1] = {}, queue
    end
    local list = pushes[queue]
    list[#list + 1] = task .. '|' .. payload .. '|' .. after
  end
  return {'fence', new_fence, 'w:' .. payload, named[8], 't:' .. path, state .. token .. '|' .. queue .. '|' ..
    now_text .. '|' .. digits(timeout_ms) .. '|' .. payload .. '|' .. after .. '\n'}, path
end

local ours = 'R|' .. process .. '|'  -- how the record of a task begins that it holds

local function complete(id, path, token, lost, body, output)
  local key, task_field = runs .. id, 't:' .. path
  local got = try('HMGET', key, task_field, 'tail', 'parked', 'c:' .. path, 'etag', 'fence', 'updated')
  if got.err then return 't' end
  local record = got[1] or ''
  -- Part by part, because to take them all out with one pattern costs more than all else here.
  local claimed_ms = sub(record, 1, #ours) == ours and match(record, '^(%d+)|[01]|', #ours + 1)
  local begin = #ours + #(claimed_ms or '') + 4  -- of its token
  local payload = claimed_ms and sub(record, begin, begin + #token) == token .. '|' and
    match(record, '^[^|]*|%d+|%d+|([^|\n]*)', begin + #token + 1)
  if not payload then return record == 'D|' .. token and 'd' or 's' end
  local tail = whole(got[2])
  if not tail then return 't' end
  local closed, position, next_tail = 'D|' .. token, 'i:' .. digits(tail), digits(tail + 1)
  dropped[#dropped + 1] = id .. '|' .. path .. '|' .. token
  if output ~= '' then
    local field = payload .. '>'
    local kept, follows, next_path, owner = 'w:' .. field, nothing, nil, process .. '|' .. field
    if got[4] and not got[3] and #body + #output <= max_relayed and ms - (whole(got[7]) or 0) < relay_ms then
      follows, next_path = successor_of(id, path, key, got[4], got[5], got[2], got[6], kept, output)
    end
    if next_path then
      owner = owner .. '|' .. next_path
      if tail == 0 then put(watched, look_text, id) end  -- the first that no engine has heard of
    end
    call('HSET', key, task_field, closed, position, entry('outcome', ms, path, claimed_ms, owner, body),
      'tail', next_tail, kept, output, unpack(follows))
    if next_path then return 'r' end
  else
    local what = entry(lost == '1' and 'lost' or 'outcome', ms, path, claimed_ms, process, body)
    call('HSET', key, task_field, closed, position, what, 'tail', next_tail)
  end
  if not got[3] then woken[#woken + 1] = id end
  return 'r'
end

-- A ref is `run id|path|token|payload`, and perhaps `|` and the path of the task that it came after, so that one HMGET
-- reads task, payload and message. A ref whose token is not current any more was left behind by a revoke or a repair,
-- and is dropped here.
local function read_task(ref, pattern)
  local id, path, token, payload, after = match(ref, '^([^|]*)|([^|]*)|([^|]*)|([^|]*)|?(.*)$')
  if not id then return nil end
  local key = runs .. id
  local got = try('HMGET', key, 't:' .. path, 'w:' .. payload, 'c:' .. after)
  if got.err or not got[1] then return nil end
  local claimed_ms, rest, its_token, queue, queued_ms, message = match(got[1], pattern)
  if its_token ~= token then return nil end
  local text = sub(got[1], message)
  if after ~= '' then
    local is_packed, named = pcall(unpack_successor, got[3] or '')
    text = is_packed and named[7] or ''
  end
  return id, path, token, sub(got[1], rest), queue, queued_ms, claimed_ms, text, payload_of(key, got[2])
end

local function claim(ref)
  local id, path, token, rest, queue, queued_ms, _, message, payload = read_task(
    ref, '^Q||(0)|0|()([^|]*)|([^|]*)|(%d+)|%d+|[^\n]*\n()')
  if not id then return end
  call('HSET', runs .. id, 't:' .. path, claimed_record(process, now_text, '0', rest))
  local task = id .. '|' .. path .. '|' .. token
  note_claim(task, #message + #payload)
  describe(task, queue, queued_ms, now_text, message, payload)
end

-- How many slots are taken. When all are, each is looked at. One whose task is not open any more is free if its
-- process is dead; a living one may still be ending what was taken from it, and is given a lease to say so.
local function count_busy(queue, slots)
  local key = prefix .. 'busy:' .. queue
  local size = try('ZCARD', key)
  if failed(size) or size < slots then return failed(size) and slots or size end
  local members, task_refs, holders, gone, doubted = call('ZRANGE', key, 0, 3999, 'WITHSCORES'), {}, {}, {}, {}
  for i = 1, #members, 2 do
    local ref, holder = match(members[i], '^([^|]*|[^|]*|[^|]*)|(.*)$')
    task_refs[(i + 1) / 2], holders[(i + 1) / 2] = ref or '', holder or ''
  end
  local open, alive = call('ZMSCORE', deadlines, unpack(task_refs)), call('ZMSCORE', procs, unpack(holders))
  for i = 1, #task_refs do
    local member, free_at_ms = members[2 * i - 1], tonumber(members[2 * i])
    if not open[i] and (not alive[i] or (free_at_ms > 0 and free_at_ms <= ms)) then gone[#gone + 1] = member
    elseif not open[i] and free_at_ms == 0 then put(doubted, digits(ms + lease_ms), member) end
  end
  all('ZADD', key, doubted)
  all('ZREM', key, gone)
  return size - #gone
end

-- How many of the wanted tasks the queue's quota lets through now; and, if it is the rate that keeps the others back,
-- in how many ms it lets the next one through.
local function room(queue, wanted)
  local quota, most = quotas[queue], wanted
  if not quota then return wanted end
  if quota.slots > 0 then most = min(most, quota.slots - count_busy(queue, quota.slots)) end
  if quota.rate == 0 or most <= 0 then return most end
  most = min(most, quota.rate)
  -- Before another claim, the one that is `rate` claims back must have left the window. Oldest first; those that the
  -- list has not got were never made.
  local times = try('LRANGE', prefix .. 'pace:' .. queue, -quota.rate, most - quota.rate - 1)
  if failed(times) then return 0 end
  local open = most - #times
  for _, time in ipairs(times) do
    local age_ms = ms - (whole(time) or 0)
    if age_ms < quota.window_ms then return open, quota.window_ms - age_ms end
    open = open + 1
  end
  return open, quota.rate < wanted and open == quota.rate and quota.window_ms or nil
end

-- Count what was taken from this queue, from this position of `taken` on.
local function book(queue, from)
  local quota, members, times = quotas[queue], {}, {}
  for i = from, #taken do
    put(members, '0', taken[i] .. '|' .. process)
    times[#times + 1] = now_text
  end
  if quota.slots > 0 then call('ZADD', prefix .. 'busy:' .. queue, unpack(members)) end
  if quota.rate > 0 then
    local key = prefix .. 'pace:' .. queue
    call('RPUSH', key, unpack(times))
    call('LTRIM', key, -10000, -1)  -- not the window: another process may count in a longer one
    call('PEXPIRE', key, 7200000)  -- twice the longest window
  end
end

local hushed = {}  -- wake lists that have no reason to be there

-- What is left in a queue needs a token for the next idle process: the one there was may have woken this process.
-- Where nothing can be taken nobody has to be woken: tokens never outlive their reason.
local function leave_token(queue, waiting, is_closed)
  local wake = prefix .. 'wake:q:' .. queue
  if waiting == 0 or is_closed then hushed[#hushed + 1] = wake
  elseif call('EXISTS', wake) == 0 then push_token(wake) end
end

local visited, again_ms = {}, nil
local function claim_from(queue)
  local key, before, wanted, last = prefix .. 'q:' .. queue, #taken, capacity - #taken, capacity
  local allowed, next_ms, is_empty
  if quotas[queue] then
    allowed, next_ms = room(queue, max(wanted, 1))
    last = min(capacity, before + max(allowed, 0))
    visited[queue] = true
  end
  while #taken < last and scanned < 400 and bytes < max_bytes do
    local batch = min(last - #taken, 50)
    local found = try('LRANGE', key, 0, batch - 1)
    if failed(found) then return end
    local popped = 0
    for _, ref in ipairs(found) do
      if bytes >= max_bytes then break end
      popped = popped + 1
      claim(ref)
    end
    scanned = scanned + popped
    if popped > 0 then call('LPOP', key, popped) end
    is_empty = #found < batch and popped == #found
    if is_empty then break end
  end
  local got, waiting, is_closed = #taken - before, is_empty and 0 or try('LLEN', key), false
  if quotas[queue] then
    if got > 0 then book(queue, before + 1) end
    is_closed = got >= max(allowed, 0) and allowed < max(wanted, 1)
    if is_closed and next_ms and not failed(waiting) and waiting > 0 then
      -- All idle processes together ask 500 times a second at most. One more than this should know: this one may be
      -- busy when the time has come.
      next_ms = max(next_ms, 2 * call('ZCARD', procs))
      again_ms = min(again_ms or next_ms, next_ms)
      is_closed = got == 0
    end
  end
  if not failed(waiting) then leave_token(queue, waiting, is_closed) end
end

local last = call('HMGET', process_key, 'nonce', 'answers', 'claimed')
call('ZADD', procs, due_text, process)
if last[1] == nonce then
  call('HSET', process_key, 'seen', now_text)
  answer[1] = last[2] or ''
  for task in string.gmatch(last[3] or '', '[^\n]+') do
    local id, path = match(task, '^([^|]*)|([^|]*)|')
    local record = id and try('HGET', runs .. id, 't:' .. path)
    local open = record and not failed(record) and parse_task(record)
    local ref = task .. '|' .. (open and open.payload or '')
    local is_there, _, _, _, queue, queued_ms, claimed_ms, message, payload = read_task(
      ref, '^R|[^|]*|(%d+)|[01]|()([^|]*)|([^|]*)|(%d+)|%d+|[^\n]*\n()')
    if is_there then describe(task, queue, queued_ms, claimed_ms, message, payload) end
  end
  return answer
end
local answers, ended = {}, {}
for i = 1, completions do
  local from = first + 6 * (i - 1)
  answers[i] = complete(ARGV[from], ARGV[from + 1], ARGV[from + 2], ARGV[from + 3], ARGV[from + 4], ARGV[from + 5])
  if #limited > 0 then ended[i] = concat({ARGV[from], ARGV[from + 1], ARGV[from + 2], process}, '|') end
end
push_tasks(queues, pushed, pushes)
local freed = {}
for _, queue in ipairs(limited) do
  -- Whatever the answer was: the process has nothing to do with these tasks any more.
  local found = #ended > 0 and quotas[queue].slots > 0 and try('ZREM', prefix .. 'busy:' .. queue, unpack(ended))
  freed[queue] = found and not failed(found) and found > 0
end
if capacity > 0 then for _, queue in ipairs(served) do claim_from(queue) end end
for _, queue in ipairs(limited) do
  local waiting = freed[queue] and not visited[queue] and try('LLEN', prefix .. 'q:' .. queue)
  if waiting and not failed(waiting) then leave_token(queue, waiting, false) end
end
all('DEL', hushed[1], hushed)
answer[1] = concat(answers) .. (again_ms and '|' .. digits(again_ms) or '')
all('ZREM', deadlines, dropped)
all('SREM', held, dropped)
all('ZADD', deadlines, added)
all('SADD', held, taken)
all('ZADD', watch, watched)
call('HSET', process_key, 'nonce', nonce, 'answers', answer[1], 'claimed', concat(taken, '\n'),
  'seen', now_text)
make_ready(ready, wake_runs, woken, ms)
return answer
