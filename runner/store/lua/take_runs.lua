#!lua flags=allow-oom
-- Hand runs that have something in their inbox to an engine, oldest first, and watch them for a lease.
--
-- KEYS 1 clock            hash
--      2 ready            zset  run id -> since when
--      3 watch            zset  run id -> when somebody must look after it
--      4 wake:runs        list  tokens that idle engines block on
--      5 process:<engine> hash  what each of its loops took last, and under which nonce
-- ARGV 1 now_ms
--      2 nonce
--      3 limit
--      4 lease_ms
--      5 max_entries      of one run
--      6 max_bytes        after which no further run is handed out
--      7 loop             of the engine: it has committed what it took before
-- DERIVED run:<run_id> hash
-- RETURNS for each run: run_id, etag, how many entries, then each and its output; all in one flat list
local clock, ready, watch, wake_runs, process = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'zset', 'list', 'hash'})
if wrong then return wrong end
local nonce, limit, lease_ms, max_entries, max_bytes = text(), number(1000), number(), number(1000), number()
local took = 'took:' .. digits(number(1000))
wrong = refuse_arguments()
if wrong then return wrong end

local ms = now()
local runs, watch_text = prefix .. 'run:', digits(ms + lease_ms)
local answer, watched, taken, bytes = {}, {}, {}, 0
local last = call('HMGET', process, 'info', took)
local last_nonce, last_taken = match(last[2] or '', '^([^|]*)(.*)$')
local repeated = last[1] and last_nonce == nonce
local ids = {}
if repeated then for id in string.gmatch(last_taken, '[^|]+') do ids[#ids + 1] = id end
elseif limit > 0 then ids = call('ZRANGE', ready, 0, limit - 1) end

-- Adds what one run has to the answer; nearly every inbox begins at 0 and is short, so one HMGET reads state and
-- entries. Nothing of a run that is gone, ended, idle or broken.
local function read_run(id)
  local key = runs .. id
  local got = try('HMGET', key, 'etag', 'end', 'again', 'head', 'tail', 'i:0', 'i:1')
  if got.err or not got[1] or got[2] == '1' then return end
  local head, tail = whole(got[4]), whole(got[5])
  if not head or not tail or head > tail or (head == tail and got[3] ~= '1') then return end
  local entries, from, size = got, 5, min(tail - head, max_entries)
  if head > 0 or size > 2 then
    local fields = {}
    for i = 1, size do fields[i] = 'i:' .. digits(head + i - 1) end
    entries, from = size > 0 and call('HMGET', key, unpack(fields)) or nothing, 0
  end
  local kept, owners = {}, {}  -- the fields in which outputs are, and whose
  for i = 1, size do
    local text = entries[from + i]
    if not text then return end
    local field = match(text, '^outcome|%d+|[^|\n]*|%d+|[^|\n]*|([^|\n]+)')
    if field then kept[#kept + 1], owners[#owners + 1] = 'w:' .. field, i end
  end
  local outputs = #kept > 0 and call('HMGET', key, unpack(kept)) or nothing
  for i = 1, #kept do if not outputs[i] then return end end
  local last = #answer + 3
  answer[last - 2], answer[last - 1], answer[last] = id, got[1], size
  for i = 1, size do
    local text = entries[from + i]
    answer[last + 2 * i - 1], answer[last + 2 * i], bytes = text, '', bytes + #text
  end
  for i = 1, #kept do
    answer[last + 2 * owners[i]], bytes = outputs[i], bytes + #outputs[i]
  end
  taken[#taken + 1] = id
  put(watched, watch_text, id)
end

local looked = ids
for i = 1, #ids do
  if bytes > max_bytes then looked = {unpack(ids, 1, i - 1)} break end
  read_run(ids[i])
end
if #looked > 0 then all('ZREM', ready, looked) end
if #taken > 0 then all('ZADD', watch, watched) end
if last[1] and not repeated then call('HSET', process, took, concat({nonce, unpack(taken)}, '|')) end
if call('ZCARD', ready) > 0 then push_token(wake_runs) else call('DEL', wake_runs) end
return answer
