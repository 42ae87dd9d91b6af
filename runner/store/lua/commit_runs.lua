#!lua flags=allow-oom
-- Write the next state of runs and what follows from it: tasks, timers, history, runs started and told. Compare-and-set
-- by etag.
--
-- KEYS 1 clock     hash
--      2 ready     zset  run id -> since when
--      3 watch     zset  run id -> when somebody must look after it
--      4 deadlines zset  run id|path|token -> when its lease, queue time or repair is due
--      5 timers    zset  run id|name -> when due
--      6 expiring  zset  terminal run id -> when its record goes
--      7 queues    set   names of queues that ever held a task
--      8 wake:runs list  tokens that idle engines block on
--      9 runs      zset  run id -> created at
--      10 faults   zset  group of faults -> when it was seen last
-- ARGV 1 now_ms
--      2 watch_ms
--      3 repair_ms
--      4 max_series  how many names a hash of figures takes; what is beyond them counts as `other`
--      5 counts    MessagePack: a list of names (or several, one a line, that grow alike), by how much all commits
--                  together grow each, and the part of each
--                  commit in that, should it not be accepted: a text, [position among the names from 0,by how
--                  much,position,...]. How a name begins says where it is kept: ports.Commit. "" where nothing is
--                  counted
--      6 commits   MessagePack, because to read its thousands of parts as arguments cost more than to write them: a
--                  list of [run_id, etag_read, etag, entries_seen, terminal, again, retention_ms, fields, tasks,
--                  history] and, where there are any, revokes, timers, timers_cleared, and where there are any of
--                  these, starts, tells, and where there are any, faults. entries_seen: 0, or how many and how the
--                  last one begins. Each from `fields` on is one flat list: fields (name value; of the run's hash:
--                  etag, state, status, in this order, then w:<name>, c:<path>), tasks (path queue payload message
--                  queue_timeout_ms; of a run that ends: paths of all that it had, or none: then they are looked
--                  for), revokes (path kill), timers (name due_at_ms), starts (run_id nonce digest
--                  summary body), tells (run_id body), faults (group about, list of marks, count)
-- DERIVED run:<run_id> hash, history:<run_id> list, q:<queue> list, wake:q:<queue> list, held:<process> set,
--         slot:<name> hash, holders:<name> zset, line:<name> zset, figures:<span> hash, fault:<group> hash
-- PUBLISHES events: `run_id entry` for each history entry of what was accepted, while somebody listens
-- RETURNS for each commit: ok | stale | gone | tampered
local clock, ready, watch, deadlines, timers, expiring, queues, wake_runs, runs, faults = unpack(KEYS)
local wrong = refuse_types({'hash', 'zset', 'zset', 'zset', 'zset', 'zset', 'set', 'list', 'zset', 'zset'})
if wrong then return wrong end

local watch_ms, repair_ms, max_series = number(), number(), number()
local counted, packed = text(), text()
wrong = refuse_arguments()
if wrong then return wrong end

-- To compare anything but a text with one raises an error, and costs less than to ask for its type.
local function are_texts(list, most)
  for i = 1, #list do if list[i] < '' then return false end end
  return #list <= (most or 4000)
end

local function is_whole(value) return type(value) == 'number' and value >= 0 and value % 1 == 0 and value < 2^53 end

local function are_tasks(list)
  for i = 1, #list, 5 do
    if list[i] < '' or list[i + 1] < '' or list[i + 2] < '' or list[i + 3] < '' or not is_whole(list[i + 4]) then
      return false
    end
  end
  return #list <= 500
end

local function are_revokes(list)
  for i = 1, #list, 2 do
    if type(list[i]) ~= 'string' or type(list[i + 1]) ~= 'boolean' then return false end
  end
  return #list <= 4000
end

local function are_timers(list)
  for i = 1, #list, 2 do
    if type(list[i]) ~= 'string' or not is_whole(list[i + 1]) then return false end
  end
  return #list <= 8000
end

local function are_faults(list)
  for i = 1, #list, 4 do
    if type(list[i]) ~= 'string' or type(list[i + 1]) ~= 'string' or type(list[i + 2]) ~= 'table' or
      not are_texts(list[i + 2]) or not is_whole(list[i + 3]) then return false end
  end
  return #list % 4 == 0 and #list <= 4000
end

local function seen_by(item)
  if type(item[4]) == 'table' then return item[4][1], item[4][2] end
  return item[4]
end

local function is_sound(item)
  local id, read, etag, _, terminal, again, retention_ms, fields, tasks, history = unpack(item)
  local seen, mark = seen_by(item)
  if type(mark) == 'string' and is_whole(seen) and seen > 0 or seen == 0 then else return false end
  local revokes, named, cleared, starts, tells = item[11], item[12], item[13], item[14], item[15]
  local to_others = (#item == 15 or #item == 16 and are_faults(item[16])) and #starts % 5 == 0 and are_texts(starts) and
    #tells % 2 == 0 and are_texts(tells, 8000)
  return type(id) == 'string' and type(read) == 'string' and type(etag) == 'string' and is_whole(seen) and
    type(terminal) == 'boolean' and type(again) == 'boolean' and is_whole(retention_ms) and #fields % 2 == 0 and
    are_texts(fields, math.huge) and (terminal and are_texts or are_tasks)(tasks) and are_texts(history) and
    (#item == 10 or (#item == 13 or to_others) and are_revokes(revokes) and are_timers(named) and are_texts(cleared))
end

-- What the caller packed must be as the header says, or nothing of the call is done.
local function unpacked(packed)
  local list, more = cmsgpack.unpack(packed)
  return more == nil and type(list) == 'table' and list
end

local function unpack_commits()
  local list = unpacked(packed)
  for i = 1, list and #list or 0 do list = is_sound(list[i]) and list end
  return list
end

local function unpack_counts(commits)
  if counted == '' then return {nothing, nothing, nothing} end
  local list = unpacked(counted)
  local names, sums, parts = list[1], list[2], list[3]
  for i = 1, #names do
    if not (sums[i] % 1 == 0 and sums[i] > -2^53 and sums[i] < 2^53) then return nil end
  end
  return are_texts(names) and are_texts(parts) and #sums == #names and #parts == #commits and list
end

local is_packed, items = pcall(unpack_commits)
if not is_packed or not items then return redis.error_reply('ARGUMENTS commits are not as they have to be') end
local is_counted, counts = pcall(unpack_counts, items)
if not is_counted or not counts then return redis.error_reply('ARGUMENTS counts are not as they have to be') end

local ms, us = now()
local records, histories, now_text = prefix .. 'run:', prefix .. 'history:', digits(ms)
local watch_text = digits(ms + watch_ms)
local is_list = {}  -- by queue, so that its type is asked for once
local read_fields = {'etag', 'end', 'head', 'tail', 'fence', 'parked', 'again', 'slot', 'timed'}  -- and more behind
-- For the end of the script, one command each. No task's ref ever comes back, so adding goes before dropping.
local watched, unwatched, due, undue, expire, ended = {}, {}, {}, {}, {}, {}
local timer_at = {}  -- by member: a time, or false to take it out; the last commit of the batch wins
local pushed, pushes, woken = {}, {}, {}
local created, reborn = {}, {}  -- runs that were started, and their histories
local noted = {}  -- by group of faults: what is to be counted
local freed = {}  -- names of slots that have room again, perhaps
local accepted = {}  -- positions of the commits that were written now

local function queue_is_sound(queue)
  if is_list[queue] == nil then
    local found = call('TYPE', prefix .. 'q:' .. queue).ok
    is_list[queue] = found == 'none' or found == 'list'
  end
  return is_list[queue]
end

-- The run's fields, and its inbox; or nil and the answer. Everything that could refuse the commit is looked at here.
local function read_run(item, key)
  local tasks, revokes, size = item[9], item[11] or nothing, 9
  for i = 1, #tasks, item[5] and 1 or 5 do size = size + 1 read_fields[size] = 't:' .. tasks[i] end
  for i = 1, #revokes, 2 do size = size + 1 read_fields[size] = 't:' .. revokes[i] end
  local seen, mark = seen_by(item)
  if mark then size = size + 1 read_fields[size] = 'i:' .. digits(seen - 1) end
  local got = try('HMGET', key, unpack(read_fields, 1, size))
  if got.err then return nil, 'tampered' end
  local etag = got[1]
  if not etag then return nil, 'gone' end
  if etag == item[3] then return nil, 'ok' end
  if etag ~= item[2] or got[2] == '1' then return nil, 'stale' end
  local head, tail = whole(got[3]), whole(got[4])
  if not head or not tail or head > tail or not whole(got[5]) then return nil, 'tampered' end
  local unseen = tail > head + seen and call('HGET', key, 'i:' .. digits(head + seen))
  if unseen and find(unseen, '^outcome|%d+|[^|\n]*|%d+|[^|\n]*|[^|\n]*|') then
    -- A task that nobody has decided about followed from an entry that came since the run was taken.
    if not got[6] then woken[item[1]] = true end
    return nil, 'stale'
  end
  if mark then
    local last = got[size]  -- nearly every inbox begins at 0
    if head > 0 then last = call('HGET', key, 'i:' .. digits(head + seen - 1)) end
    if not last or sub(last, 1, #mark) ~= mark then return nil, 'stale' end
  end
  for i = 1, item[5] and 0 or #tasks, 5 do
    local record = got[9 + (i + 4) / 5]
    if (record and find(record, '^[QR]|')) or not queue_is_sound(tasks[i + 1]) then return nil, 'tampered' end
  end
  for i = 1, #(item[14] or nothing), 5 do
    if call('EXISTS', records .. item[14][i]) == 1 then return nil, 'tampered' end
  end
  return got, head, tail
end

-- The first are emptied by the HSET that comes anyway, and soon written again; others are deleted, so the end of a run
-- knows which are there.
local function consume_entries(set, key, head, seen)
  if head + seen <= 4 then
    for i = head, head + seen - 1 do put(set, 'i:' .. digits(i), '') end
  else
    local consumed = {}
    for i = 1, seen do consumed[i] = 'i:' .. digits(head + i - 1) end
    all('HDEL', key, consumed)
  end
end

local function dispatch_tasks(item, set, fence)
  local id, etag, tasks = item[1], item[3], item[9]
  for i = 1, #tasks, 5 do
    local path, queue, payload, message, timeout_ms = unpack(tasks, i, i + 4)
    fence = max(fence + 1, us)
    local token, due_ms = digits(fence) .. '-' .. etag, ms + repair_ms
    if timeout_ms > 0 then
      timeout_ms = ms + timeout_ms
      due_ms = min(due_ms, timeout_ms)
    end
    local ref, list = id .. '|' .. path .. '|' .. token, pushes[queue]
    put(set, 't:' .. path, UNCLAIMED .. token .. '|' .. queue .. '|' .. now_text .. '|' .. digits(timeout_ms) .. '|' ..
      payload .. '\n' .. message)
    put(due, digits(due_ms), ref)
    if not list then
      list = {}
      pushes[queue], pushed[#pushed + 1] = list, queue
    end
    list[#list + 1] = ref .. '|' .. payload
  end
  put(set, 'fence', digits(fence))
end

-- Queued: taken back, and its run is told. Running: its outcome still comes, so it is marked if it is to be killed, and
-- else goes on undisturbed. The inbox's new end.
local function revoke_tasks(item, set, got, tail)
  local id, revokes, taken_back, first = item[1], item[11], {}, 9 + #item[9] / 5
  for i = 1, #revokes, 2 do
    local path, kill = revokes[i], revokes[i + 1]
    local task = not taken_back[path] and parse_task(got[first + (i + 1) / 2])
    if task and task.state == 'Q' then
      taken_back[path] = true
      local ref = id .. '|' .. path .. '|' .. task.token
      undue[#undue + 1] = ref
      try('LREM', prefix .. 'q:' .. task.queue, 1, ref .. '|' .. task.payload)
      put(set, 't:' .. path, '')
      put(set, 'i:' .. digits(tail), entry('revoked', ms, path, '0', '', ''))
      tail = tail + 1
    elseif task and kill then
      put(set, 't:' .. path, claimed_record(task.process, task.claimed_ms, '1', task.rest))
    end
  end
  return tail
end

local function set_timers(item, set, got)
  local id, named = item[1], item[12]
  if #named > 0 and not got[9] then put(set, 'timed', '1') end
  for _, name in ipairs(item[13]) do
    timer_at[id .. '|' .. name] = false
    put(set, 'z:' .. name, '')
  end
  for i = 1, #named, 2 do
    timer_at[id .. '|' .. named[i]] = named[i + 1]
    put(set, 'z:' .. named[i], digits(named[i + 1]))
  end
end

local function start_runs(starts)
  for i = 1, #starts, 5 do
    local id = starts[i]
    create_run(records .. id, starts[i + 1], starts[i + 2], starts[i + 3], starts[i + 4], ms)
    put(created, now_text, id)
    put(watched, watch_text, id)
    reborn[#reborn + 1] = histories .. id
    woken[id] = true
  end
end

-- To whoever is still there to hear it: what was said to a run that is gone or over would change nothing.
local function tell_runs(tells)
  for i = 1, #tells, 2 do
    local id = tells[i]
    local got = try('HMGET', records .. id, 'etag', 'end', 'tail', 'parked', 'slot')
    local tail = not got.err and got[1] and got[2] ~= '1' and whole(got[3])
    if tail then
      call('HSET', records .. id, 'i:' .. digits(tail), entry('told', ms, '', '0', '', tells[i + 1]),
        'tail', digits(tail + 1))
      if not got[4] and slot_parts(got[5]) ~= 'W' then woken[id] = true end
    end
  end
end

-- A run that is over or stuck gives its place back. Any other holds it, and nobody asks whether there is room: it has
-- begun. Whatever is wrong with the slot, the run goes on.
local function move_slot(id, terminal, set, value)
  local state, name = slot_parts(value)
  if not state then return end
  local _, holders, line = slot_keys(name)
  local gives = terminal or set[6] == 'stuck'
  if state == 'W' then try('ZREM', line, id) end
  if gives then
    try('ZREM', holders, id)
    freed[name] = true
  elseif state ~= 'H' then try('ZADD', holders, now_text, id) end
  put(set, 'slot', (gives and 'F|' or 'H|') .. name)
end

-- Fields of a terminal run's record that go: those of tasks with their records, and all of them.
local function list_gone(id, key)
  local open, found, gone = {}, {}, {}
  for _, name in ipairs(call('HKEYS', key)) do
    local kind = sub(name, 1, 2)
    if kind == 't:' then open[#open + 1] = name end
    if kind == 'z:' then timer_at[id .. '|' .. sub(name, 3)] = false end
    if kind == 't:' or kind == 'i:' or kind == 'z:' or kind == 'c:' then gone[#gone + 1] = name end
  end
  for from = 1, #open, 4000 do
    for i, record in ipairs(call('HMGET', key, unpack(open, from, min(from + 3999, #open)))) do
      found[from + i - 1] = record
    end
  end
  return open, found, gone
end

-- The same of a run that had no timers, and of whose tasks the commit says where they were. See consume_entries.
local function name_gone(paths, got, tail)
  local open, found, gone = {}, {}, {}
  for i, path in ipairs(paths) do
    open[i], found[i] = 't:' .. path, got[9 + i]
    put(gone, open[i], 'c:' .. path)
  end
  for i = 0, max(tail, 4) - 1 do gone[#gone + 1] = 'i:' .. digits(i) end
  return open, found, gone
end

-- A terminal run keeps its record and its history, and nothing else.
local function end_run(item, key, got, tail)
  local id, open, found, gone = item[1]
  if #item[9] > 0 and not got[9] then open, found, gone = name_gone(item[9], got, tail)
  else open, found, gone = list_gone(id, key) end
  for i, name in ipairs(open) do
    local task = parse_task(found[i])
    if task then
      local ref = id .. '|' .. sub(name, 3) .. '|' .. task.token
      undue[#undue + 1] = ref
      if task.state == 'Q' then try('LREM', prefix .. 'q:' .. task.queue, 1, ref .. '|' .. task.payload)
      else try('SREM', prefix .. 'held:' .. task.process, ref) end
    end
  end
  all('HDEL', key, gone)
  unwatched[#unwatched + 1] = id
  woken[id] = nil
  ended[#ended + 1] = id
  if item[7] > 0 then put(expire, digits(ms + item[7]), id) end
end

local function count_faults(id, list)
  for i = 1, #list, 4 do
    local found, count = noted[list[i]], list[i + 3]
    if not found then
      found = {count = 0, marks = {}, ids = {}, size = 0}
      noted[list[i]] = found
    end
    found.count, found.about = found.count + count, list[i + 1]
    for _, mark in ipairs(list[i + 2]) do
      local before = found.marks[mark]
      if not before then found.size = found.size + 1 end
      if before or found.size <= 500 then found.marks[mark] = (before or 0) + count end  -- no more than one HMGET takes
    end
    if found.ids[#found.ids] ~= id then found.ids[#found.ids + 1] = id end
  end
end

-- One read and one write for each group of the batch. The ring has an hour of the week in each place, with its number.
local function write_faults(name, found)
  local key, hour, names = prefix .. 'fault:' .. name, floor(ms / 3600000), {}
  local place = 'h:' .. digits(hour % 168)
  for mark in pairs(found.marks) do names[#names + 1] = mark end
  local wanted = {'count', 'marks', 'samples', 'state', 'last_run', place}
  for i, mark in ipairs(names) do wanted[6 + i] = 'm:' .. mark end
  local got = try('HMGET', key, unpack(wanted))
  if got.err then return end  -- whatever is wrong with what is counted, the run goes on
  local count, marks, samples = whole(got[1]) or 0, whole(got[2]) or 0, whole(got[3]) or 0
  local of_hour, in_hour = match(got[6] or '', '^(%d+)|(%d+)$')
  in_hour = of_hour == digits(hour) and whole(in_hour) or 0
  local set = {'about', found.about, 'count', digits(count + found.count), 'last', now_text,
    place, digits(hour) .. '|' .. digits(in_hour + found.count)}
  if count == 0 then put(set, 'first', now_text) end
  if got[4] == 'resolved' then
    put(set, 'state', 'open')
    put(set, 'regressed', now_text)
  end
  for i, mark in ipairs(names) do
    local before = whole(got[6 + i])
    if not before and marks < 100 then before, marks = 0, marks + 1 end
    if before then put(set, 'm:' .. mark, digits(before + found.marks[mark])) end
  end
  local ids, last = found.ids, got[5]
  for i = max(1, #ids - 19), #ids do
    if ids[i] ~= last then
      put(set, 's:' .. digits(samples % 20), ids[i] .. '|' .. now_text)
      samples, last = samples + 1, ids[i]
    end
  end
  put(set, 'marks', digits(marks))
  put(set, 'samples', digits(samples))
  put(set, 'last_run', last)
  all('HSET', key, set)
  call('ZADD', faults, now_text, name)
end

local function commit(item, number)
  local id, seen, terminal, again, set, history = item[1], seen_by(item), item[5], item[6], item[8], item[10]
  local key = records .. id
  local got, head, tail = read_run(item, key)
  if not got then return head end
  local relays = sub(set[#set - 1] or '', 1, 2) == 'c:'
  -- The only write that can fail, so it comes first: nothing of this commit is written then.
  if #history > 0 and failed(try('RPUSH', histories .. id, unpack(history))) then return 'tampered' end
  local new_head, new_tail = head + seen, tail
  -- The end takes all of them out; and of a run that goes on by itself the next ones soon come in their place.
  if not terminal and not (relays and new_head == tail and tail <= 4) then consume_entries(set, key, head, seen) end
  if terminal or new_head == tail then new_head, new_tail = 0, 0 end
  if not terminal then
    if item[11] then
      new_tail = revoke_tasks(item, set, got, new_tail)
      set_timers(item, set, got)
    end
    if #item[9] > 0 then dispatch_tasks(item, set, whole(got[5])) end
    put(watched, watch_text, id)
    woken[id] = (again or new_tail > new_head) or nil
  end
  if got[8] then move_slot(id, terminal, set, got[8]) end
  put(set, 'updated', now_text)
  if new_head ~= head then put(set, 'head', digits(new_head)) end
  if new_tail ~= tail then put(set, 'tail', digits(new_tail)) end
  if again ~= (got[7] == '1') then put(set, 'again', again and '1' or '0') end
  if terminal then put(set, 'end', '1') end
  all('HSET', key, set)
  if got[6] then call('HDEL', key, 'parked', 'park_nonce', 'broken') end
  if terminal then end_run(item, key, got, tail) end
  if item[14] then
    start_runs(item[14])
    tell_runs(item[15])
    if item[16] then count_faults(id, item[16]) end
  end
  accepted[#accepted + 1] = number
  return 'ok'
end

-- Grows a figure; true if its name is new there. One that is new to a full hash is not told apart from others.
local function grow(span, name, by)
  local key = prefix .. 'figures:' .. span
  local sum = try('HINCRBY', key, name, by)
  if sum == 0 then try('HDEL', key, name) end
  if sum ~= by then return false end
  local size = try('HLEN', key)
  if size == 1 and span ~= 'all' then try('EXPIRE', key, sub(span, 1, 1) == 'm' and 4200 or 90000) end
  if not failed(size) and size > max_series and name ~= 'other' then
    try('HDEL', key, name)
    grow(span, 'other', by)
  end
  return true
end

-- What commits would have counted that were not accepted.
local function take_back(sums, parts)
  local is_accepted = {}
  for _, number in ipairs(accepted) do is_accepted[number] = true end
  for number = 1, #items do
    for at, by in string.gmatch(is_accepted[number] and '' or parts[number], '(%d+),(%-?%d+)') do
      sums[at + 1] = sums[at + 1] - by
    end
  end
end

-- What the accepted commits count, each name once a batch. Figures are for people to look at: whatever is wrong with
-- them or their keys, no run waits for it.
local function keep_figures(groups, sums, parts)
  local latest, last = {}, prefix .. 'figures:last'
  if #groups > 0 and #accepted < #items and not pcall(take_back, sums, parts) then return end
  local names, by_name = {}, {}
  for at, group in ipairs(groups) do
    for name in string.gmatch(group, '[^\n]+') do
      if not by_name[name] then names[#names + 1] = name end
      by_name[name] = (by_name[name] or 0) + sums[at]
    end
  end
  local minute, tens = 'm:' .. digits(floor(ms / 60000)), 't:' .. digits(floor(ms / 600000))
  for _, name in ipairs(names) do
    local by, kind = by_name[name], sub(name, 1, 1)
    if by ~= 0 and kind == '@' then put(latest, name, now_text)
    elseif by ~= 0 then
      if kind ~= '~' and grow('all', name, by) then try('HSETNX', last, '', now_text) end
      if kind ~= '=' then
        grow(minute, name, by)
        grow(tens, name, by)
      end
    end
  end
  local size = #latest > 0 and try('HLEN', last)
  if size and not failed(size) and size < max_series then all('HSET', last, latest) end
end

-- Nobody listens most of the time, and the first answer says so. A user whose rights leave the channel out is refused,
-- and the commits stand: who listens is told nothing, and nothing waits for that.
local function tell_listeners()
  for _, number in ipairs(accepted) do
    local item = items[number]
    for _, what in ipairs(item[10]) do
      local heard = try('PUBLISH', prefix .. 'events', item[1] .. ' ' .. what)
      if failed(heard) or heard == 0 then return end
    end
  end
end

local answers = {}
for i = 1, #items do answers[i] = commit(items[i], i) end
keep_figures(counts[1], counts[2], counts[3])
local timers_set, timers_gone = {}, {}
for member, due_ms in pairs(timer_at) do
  if due_ms then put(timers_set, digits(due_ms), member) else timers_gone[#timers_gone + 1] = member end
end
all('DEL', reborn[1], reborn)  -- that of a run whose record somebody deleted must not become part of the new one's
all('ZADD', runs, created)
all('ZADD', watch, watched)
all('ZREM', watch, unwatched)
all('ZADD', deadlines, due)
all('ZREM', deadlines, undue)
all('ZADD', timers, timers_set)
all('ZREM', timers, timers_gone)
all('ZADD', expiring, expire)
for name, found in pairs(noted) do write_faults(name, found) end
if next(noted) then
  local spare = call('ZCARD', faults) - 1000
  local forgotten = spare > 0 and call('ZPOPMIN', faults, spare) or nothing
  for i = 1, #forgotten, 2 do call('DEL', prefix .. 'fault:' .. forgotten[i]) end
end
push_tasks(queues, pushed, pushes)
all('ZREM', ready, ended)
local ids = {}
for id in pairs(woken) do ids[#ids + 1] = id end
for name in pairs(freed) do admit_waiting(name, ms, ids) end
make_ready(ready, wake_runs, ids, ms)
tell_listeners()
return answers
