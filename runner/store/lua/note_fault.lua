#!lua flags=allow-oom
-- Set the state of a group of faults, with a note of who did it.
--
-- KEYS 1 clock  hash
--      2 faults zset  group of faults -> when it was seen last
-- ARGV 1 now_ms
--      2 group
--      3 state
--      4 note
-- DERIVED fault:<group> hash
-- RETURNS 1, or 0 if there is no such group
local clock, faults = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset'})
if wrong then return wrong end

local group, state, note = text(), text(), text()
wrong = refuse_arguments()
if wrong then return wrong end

local key = prefix .. 'fault:' .. group
local count = try('HGET', key, 'count')
if failed(count) or not count or not call('ZSCORE', faults, group) then return 0 end
call('HSET', key, 'state', state, 'note', note)
if state == 'resolved' then call('HDEL', key, 'regressed') end
return 1
