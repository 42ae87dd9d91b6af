#!lua flags=allow-oom
-- Extend the lease of a process and of the tasks that it names.
--
-- KEYS 1 clock             hash
--      2 procs             zset  process id -> when it counts as dead
--      3 deadlines         zset  run id|path|token -> when its lease, queue time or repair is due
--      4 process:<process> hash  its entry in the list of processes
-- ARGV 1 now_ms
--      2 process
--      3 lease_ms
--      4 vitals            what the process uses of its machine, for people; "": not known
--      5 tasks             how many; then for each: run_id path token
-- DERIVED run:<run_id> hash
-- RETURNS gone if the process was reaped; else one letter a task: h held, l lost, c cancelled
local clock, procs, deadlines, process_key = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'zset', 'hash'})
if wrong then return wrong end
local process, lease_ms, vitals = text(), number(), text()
local items = groups(function() return {text(), text(), text()} end)
wrong = refuse_arguments()
if wrong then return wrong end
if not call('ZSCORE', procs, process) then return 'gone' end

local ms = now()
local due, answers, added = digits(ms + 2 * lease_ms), {}, {}
call('ZADD', procs, due, process)
call('HSET', process_key, 'seen', digits(ms), 'vitals', vitals)
for i, item in ipairs(items) do
  local id, path, token = unpack(item)
  local record = try('HGET', prefix .. 'run:' .. id, 't:' .. path)
  local task = not failed(record) and parse_task(record)
  if task and task.token == token and task.state == 'R' and task.process == process then
    put(added, due, id .. '|' .. path .. '|' .. token)
    answers[i] = task.cancelled == '1' and 'c' or 'h'
  else
    answers[i] = 'l'
  end
end
all('ZADD', deadlines, added)
return concat(answers)
