#!lua flags=allow-oom
-- Note what became of a schedule's latest fire time. An older one changes nothing: several engines may look at once.
--
-- KEYS 1 clock     hash
--      2 schedules hash  workflow -> its schedule
--      3 fires     hash  workflow -> at_ms|what became of it
-- ARGV 1 now_ms
--      2 workflow
--      3 at_ms
--      4 note      JSON
-- DERIVED none
-- RETURNS 1: noted; 0: the schedule is gone, or this time or a later one was noted otherwise
local clock, schedules, fires = unpack(KEYS)
local wrong = refuse_types({'hash', 'hash', 'hash'})
if wrong then return wrong end
local workflow, at_ms, note = text(), number(), text()
wrong = refuse_arguments()
if wrong then return wrong end

local last, mine = call('HGET', fires, workflow) or '', digits(at_ms) .. '|' .. note
if last == mine then return 1 end
if call('HEXISTS', schedules, workflow) == 0 or (whole(match(last, '^(%d+)|')) or 0) >= at_ms then return 0 end
call('HSET', fires, workflow, mine)
return 1
