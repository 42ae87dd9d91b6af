#!lua
-- Put requests into inboxes, each nonce once. Refused when Redis is full: running work goes before new work.
--
-- KEYS 1 clock     hash
--      2 ready     zset  run id -> since when
--      3 wake:runs list  tokens that idle engines block on
-- ARGV 1 now_ms
--      2 max_waiting   entries in one inbox
--      3 max_requests  ever taken by one run
--      4 requests      how many; then for each: run_id nonce body
-- DERIVED run:<run_id> hash
-- RETURNS for each request: ok | gone | ended | full | tampered
local clock, ready, wake_runs = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'list'})
if wrong then return wrong end
local max_waiting, max_requests = number(), number()
local items = groups(function() return {text(), text(), text()} end)
wrong = refuse_arguments()
if wrong then return wrong end

local ms = now()
local answers, woken = {}, {}
for i, item in ipairs(items) do
  local id, nonce, body = unpack(item)
  local run = prefix .. 'run:' .. id
  local got = try('HMGET', run, 'etag', 'end', 'head', 'tail', 'requests', 'r:' .. nonce)
  local head, tail, taken = nil, nil, 0
  if not failed(got) then head, tail, taken = whole(got[3]), whole(got[4]), whole(got[5] or '0') end
  if failed(got) then answers[i] = 'tampered'
  elseif not got[1] then answers[i] = 'gone'
  elseif got[6] then answers[i] = 'ok'
  elseif got[2] == '1' then answers[i] = 'ended'
  elseif not (head and tail and taken) then answers[i] = 'tampered'
  elseif tail - head >= max_waiting or taken >= max_requests then answers[i] = 'full'
  else
    call('HSET', run, 'i:' .. digits(tail), entry('request', ms, '', '0', '', body), 'tail', digits(tail + 1),
      'requests', digits(taken + 1), 'r:' .. nonce, '1')
    woken[#woken + 1] = id  -- also a parked run: somebody asked
    answers[i] = 'ok'
  end
end
make_ready(ready, wake_runs, woken, ms)
return answers
