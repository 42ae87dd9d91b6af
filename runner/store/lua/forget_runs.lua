#!lua flags=allow-oom
-- Delete the records of terminal runs whose retention is over.
--
-- KEYS 1 clock    hash
--      2 expiring zset  terminal run id -> when its record goes
--      3 runs     zset  run id -> created at
-- ARGV 1 now_ms
--      2 limit
-- DERIVED run:<run_id> hash, history:<run_id> list
-- RETURNS how many
local clock, expiring, runs = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'zset'})
if wrong then return wrong end
local limit = number(1000)
wrong = refuse_arguments()
if wrong then return wrong end

local ids = call('ZRANGEBYSCORE', expiring, '-inf', digits(now()), 'LIMIT', 0, limit)
for _, id in ipairs(ids) do call('UNLINK', prefix .. 'run:' .. id, prefix .. 'history:' .. id) end
all('ZREM', runs, ids)
all('ZREM', expiring, ids)
return #ids
