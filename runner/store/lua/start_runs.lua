#!lua
-- Start runs, each with its first inbox entry. Refused when Redis is full: running work goes before new work.
--
-- KEYS 1 clock     hash
--      2 ready     zset  run id -> since when
--      3 watch     zset  run id -> when somebody must look after it
--      4 runs      zset  run id -> created at
--      5 wake:runs list  tokens that idle engines block on
-- ARGV 1 now_ms
--      2 watch_ms
--      3 fresh_ms  how much later than now they count as ready: runs that have begun go first
--      4 runs      how many; then for each: run_id nonce digest summary body
-- DERIVED run:<run_id> hash, history:<run_id> list
-- RETURNS for each run: created | existing | conflict | tampered, then its status
local clock, ready, watch, runs, wake_runs = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'zset', 'zset', 'list'})
if wrong then return wrong end
local watch_ms, fresh_ms = number(), number()
local items = groups(function() return {text(), text(), text(), text(), text()} end)
wrong = refuse_arguments()
if wrong then return wrong end

local ms = now()
local answers, started, histories, watched, created = {}, {}, {}, {}, {}
for _, item in ipairs(items) do
  local id, nonce, digest, summary, body = unpack(item)
  local run = prefix .. 'run:' .. id
  local there = try('HMGET', run, 'nonce', 'digest', 'status')
  local answer, status = 'created', ''
  if failed(there) then answer = 'tampered'
  elseif there[1] then
    status = there[3] or ''
    if there[1] ~= nonce then answer = there[2] == digest and 'existing' or 'conflict' end
  else
    create_run(run, nonce, digest, summary, body, ms)
    started[#started + 1] = id
    histories[#histories + 1] = prefix .. 'history:' .. id
    put(watched, digits(ms + watch_ms), id)
    put(created, digits(ms), id)
  end
  put(answers, answer, status)
end
if #started > 0 then
  -- The history of a run whose record somebody deleted must not become part of the new one's.
  all('DEL', histories[1], histories)
  all('ZADD', watch, watched)
  all('ZADD', runs, created)
  make_ready(ready, wake_runs, started, ms + fresh_ms)
end
return answers
