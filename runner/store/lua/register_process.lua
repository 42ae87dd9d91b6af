#!lua flags=allow-oom
-- Enter a process into the list of those that are alive. An id that was reaped never comes back.
--
-- KEYS 1 clock             hash
--      2 procs             zset  process id -> when it counts as dead
--      3 reaped            zset  process id -> when it was reaped
--      4 process:<process> hash  its entry in the list of processes
-- ARGV 1 now_ms
--      2 process
--      3 lease_ms
--      4 info              JSON
-- DERIVED none
-- RETURNS ok | reaped
local clock, procs, reaped, process_key = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'zset', 'hash'})
if wrong then return wrong end
local process, lease_ms, info = text(), number(), text()
wrong = refuse_arguments()
if wrong then return wrong end
if call('ZSCORE', reaped, process) then return 'reaped' end

local ms = now()
call('ZADD', procs, digits(ms + 2 * lease_ms), process)
call('HSET', process_key, 'info', info, 'seen', digits(ms))
return 'ok'
