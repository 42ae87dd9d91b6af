#!lua
-- Start runs, each with its first inbox entry. Refused when Redis is full: running work goes before new work.
--
-- KEYS 1 clock     hash
--      2 ready     zset  run id -> since when
--      3 watch     zset  run id -> when somebody must look after it
--      4 runs      zset  run id -> created at
--      5 wake:runs list  tokens that idle engines block on
--      6 definitions hash  digest -> document
-- ARGV 1 now_ms
--      2 watch_ms
--      3 fresh_ms  how much later than now they count as ready: runs that have begun go first
--      4 runs      how many; then for each: run_id nonce digest summary body slot wanted. The slot is "" or
--                 `limit|q or r|name`: behind the others if it is full, or refused. Wanted are definitions, with '|'
--                 between them, that have to be there, so that no crash that sets the server back leaves a run without
-- DERIVED run:<run_id> hash, history:<run_id> list, slot:<name> hash, holders:<name> zset, line:<name>
--         zset
-- RETURNS for each run: created | existing | conflict | limited | undefined | tampered, then its status; limited: some
--         of those who hold the slot, with '|' between them
local clock, ready, watch, runs, wake_runs, definitions = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'zset', 'zset', 'list', 'hash'})
if wrong then return wrong end
local watch_ms, fresh_ms = number(), number()
local function slot_text()
  local value = text()
  if value ~= '' and not find(value, '^[1-9]%d*|[qr]|.') then refused = 'argument ' .. position .. ' is no slot' end
  return value
end
local items = groups(function() return {text(), text(), text(), text(), text(), slot_text(), text()} end)
wrong = refuse_arguments()
if wrong then return wrong end

local ms, us = now()
local answers, started, histories, watched, created, woken = {}, {}, {}, {}, {}, {}

-- What the new run's `slot` is to be; or nil and the answer.
local function take_place(id, slot)
  local limit, policy, name = match(slot, '^(%d+)|([qr])|(.+)$')
  local slot_key, holders, line = slot_keys(name)
  local held, last = try('ZCARD', holders), try('ZRANGE', line, -1, -1, 'WITHSCORES')
  if failed(held) or failed(last) or failed(try('HSET', slot_key, 'limit', limit)) then return nil, 'tampered', '' end
  if held >= whole(limit) then check_holders(name, ms) end
  if last[1] then
    admit_waiting(name, ms, woken)
    call('HSET', slot_key, 'limit', limit)  -- it is gone if nobody in the line was there any more
  end
  if call('ZCARD', holders) < whole(limit) and call('ZCARD', line) == 0 then
    call('ZADD', holders, digits(ms), id)
    return 'H|' .. name
  end
  if policy == 'r' then return nil, 'limited', concat(call('ZRANGE', holders, 0, 4), '|') end
  call('ZADD', line, digits(max(us, (tonumber(last[2]) or 0) + 1)), id)
  return 'W|' .. name
end

local function start(id, nonce, digest, summary, body, slot, wanted)
  local run = prefix .. 'run:' .. id
  local there = try('HMGET', run, 'nonce', 'digest', 'status')
  if failed(there) then return 'tampered', '' end
  if there[1] then
    if there[1] == nonce then return 'created', there[3] or '' end
    return there[2] == digest and 'existing' or 'conflict', there[3] or ''
  end
  for name in string.gmatch(wanted, '[^|]+') do
    if call('HEXISTS', definitions, name) == 0 then return 'undefined', '' end
  end
  local waits = false
  if slot ~= '' then
    local place, answer, holders = take_place(id, slot)
    if not place then return answer, holders end
    call('HSET', run, 'slot', place)
    waits = sub(place, 1, 1) == 'W'
  end
  create_run(run, nonce, digest, summary, body, ms)
  if not waits then started[#started + 1] = id end
  histories[#histories + 1] = prefix .. 'history:' .. id
  put(watched, digits(ms + watch_ms), id)
  put(created, digits(ms), id)
  return 'created', ''
end

for _, item in ipairs(items) do put(answers, start(unpack(item))) end
if #histories > 0 then
  -- The history of a run whose record somebody deleted must not become part of the new one's.
  all('DEL', histories[1], histories)
  all('ZADD', watch, watched)
  all('ZADD', runs, created)
  make_ready(ready, wake_runs, started, ms + fresh_ms)
end
make_ready(ready, wake_runs, woken, ms)
return answers
