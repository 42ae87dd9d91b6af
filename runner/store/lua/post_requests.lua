#!lua
-- Put requests into inboxes, each nonce once. Refused when Redis is full: running work goes before new work.
--
-- KEYS 1 clock     hash
--      2 ready     zset  run id -> since when
--      3 wake:runs list  tokens that idle engines block on
-- ARGV 1 now_ms
--      2 max_waiting   entries in one inbox
--      3 max_requests  ever taken by one run
--      4 requests      how many; then for each: run_id nonce at_once body. At once: also a run that
--                     waits for a slot looks at it now, and leaves the line
-- DERIVED run:<run_id> hash, slot:<name> hash, holders:<name> zset, line:<name> zset
-- RETURNS for each request: ok | gone | ended | full | tampered
local clock, ready, wake_runs = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'list'})
if wrong then return wrong end
local max_waiting, max_requests = number(), number()
local items = groups(function() return {text(), text(), text() == '1', text()} end)
wrong = refuse_arguments()
if wrong then return wrong end

local ms = now()
local answers, woken = {}, {}

-- A run that waits for a slot has not begun. The request comes right behind its start, and what else waits in its inbox
-- is dropped, so that an engine looks at both together and nothing is begun that is not meant to be.
local function leave_line(run, id, name, tail)
  local dropped, _, _, line = {}, slot_keys(name)
  for i = 1, tail - 1 do dropped[i] = 'i:' .. digits(i) end
  all('HDEL', run, dropped)
  try('ZREM', line, id)
  call('HSET', run, 'slot', 'F|' .. name)
  return 1
end

for i, item in ipairs(items) do
  local id, nonce, at_once, body = unpack(item)
  local run = prefix .. 'run:' .. id
  local got = try('HMGET', run, 'etag', 'end', 'head', 'tail', 'requests', 'slot', 'r:' .. nonce)
  local head, tail, taken = nil, nil, 0
  local state, name
  if not failed(got) then
    head, tail, taken = whole(got[3]), whole(got[4]), whole(got[5] or '0')
    state, name = slot_parts(got[6])
  end
  if failed(got) then answers[i] = 'tampered'
  elseif not got[1] then answers[i] = 'gone'
  elseif got[7] then answers[i] = 'ok'
  elseif got[2] == '1' then answers[i] = 'ended'
  elseif not (head and tail and taken) then answers[i] = 'tampered'
  elseif taken >= max_requests or (tail - head >= max_waiting and not (at_once and state == 'W')) then
    answers[i] = 'full'
  else
    if at_once and state == 'W' then
      tail, state = leave_line(run, id, name, tail), 'F'
    end
    call('HSET', run, 'i:' .. digits(tail), entry('request', ms, '', '0', '', body), 'tail', digits(tail + 1),
      'requests', digits(taken + 1), 'r:' .. nonce, '1')
    if state ~= 'W' then woken[#woken + 1] = id end  -- also a parked run: somebody asked
    answers[i] = 'ok'
  end
end
make_ready(ready, wake_runs, woken, ms)
return answers
