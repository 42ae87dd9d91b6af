#!lua flags=allow-oom
-- Let the records of terminal runs expire that were held, or keep them for ever.
--
-- KEYS 1 clock    hash
--      2 expiring zset  terminal run id -> when its record goes
-- ARGV 1 now_ms
--      2 releases list of run id, when its record goes (0: never)
-- DERIVED run:<run_id> hash
-- RETURNS how many of them are there
local clock, expiring = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset'})
if wrong then return wrong end

local releases = groups(function() return {text(), number()} end)
wrong = refuse_arguments()
if wrong then return wrong end

local there = 0
for _, release in ipairs(releases) do
  local key = prefix .. 'run:' .. release[1]
  local ended = try('HGET', key, 'end')
  if not failed(ended) and ended == '1' then
    call('HSET', key, 'released', '1')
    if release[2] > 0 then call('ZADD', expiring, digits(release[2]), release[1])
    else call('ZREM', expiring, release[1]) end
    there = there + 1
  end
end
return there
