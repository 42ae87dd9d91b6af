#!lua flags=allow-oom
-- Hand runs that have something in their inbox to an engine, oldest first, and watch them for a lease.
--
-- KEYS 1 clock            hash
--      2 ready            zset  run id -> since when
--      3 watch            zset  run id -> when somebody must look after it
--      4 wake:runs        list  tokens that idle engines block on
--      5 process:<engine> hash  what it took last, under which nonce
-- ARGV 1 now_ms
--      2 nonce
--      3 limit
--      4 lease_ms
--      5 max_entries      of one run
--      6 max_bytes        after which no further run is handed out
-- DERIVED run:<run_id> hash
-- RETURNS for each run: {run_id, etag, entry...}
local clock, ready, watch, wake_runs, process = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'zset', 'list', 'hash'})
if wrong then return wrong end
local nonce, limit, lease_ms, max_entries, max_bytes = text(), number(1000), number(), number(1000), number()
wrong = refuse_arguments()
if wrong then return wrong end

local ms = now()
local last = call('HMGET', process, 'info', 'take_nonce', 'taken')
local repeated = last[1] and last[2] == nonce
local ids = {}
if repeated then for id in string.gmatch(last[3] or '', '[^|]+') do ids[#ids + 1] = id end
elseif limit > 0 then ids = call('ZRANGE', ready, 0, limit - 1) end

-- Nearly every inbox begins at 0 and is short, so one HMGET reads state and entries.
local function read_inbox(id)
  local got = try('HMGET', prefix .. 'run:' .. id, 'etag', 'end', 'again', 'head', 'tail', 'i:0', 'i:1', 'i:2', 'i:3')
  if failed(got) then return nil, true end
  local head, tail = whole(got[4]), whole(got[5])
  if not got[1] or got[2] == '1' then return nil, not got[1] end
  if not head or not tail or head > tail then return nil, true end
  if head == tail and got[3] ~= '1' then return nil end
  local fields = {}
  for i = head, min(tail, head + max_entries) - 1 do fields[#fields + 1] = 'i:' .. digits(i) end
  local entries = {}
  if head == 0 and #fields <= 4 then entries = {unpack(got, 6, 5 + #fields)}
  elseif #fields > 0 then entries = call('HMGET', prefix .. 'run:' .. id, unpack(fields)) end
  local bytes = 0
  for i = 1, #fields do
    if not entries[i] then return nil, true end
    bytes = bytes + #entries[i]
  end
  return {id, got[1], unpack(entries)}, nil, bytes
end

local answer, looked, watched, taken, bytes = {}, {}, {}, {}, 0
for _, id in ipairs(ids) do
  if bytes > max_bytes then break end
  looked[#looked + 1] = id
  local run, _, size = read_inbox(id)
  if run then
    bytes = bytes + size
    answer[#answer + 1] = run
    taken[#taken + 1] = id
    put(watched, digits(ms + lease_ms), id)
  end
end
if #looked > 0 then all('ZREM', ready, looked) end
if #taken > 0 then all('ZADD', watch, watched) end
if last[1] and not repeated then
  call('HSET', process, 'take_nonce', nonce, 'taken', concat(taken, '|'), 'taken_before', last[3] or '')
end
if call('ZCARD', ready) > 0 then push_token(wake_runs) else call('DEL', wake_runs) end
return answer
