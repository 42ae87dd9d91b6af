-- Shared by every script: the loader puts this after the script's first line, which names its flags.
--
-- KEYS[1] is always the clock, and ARGV[1] the caller's time in ms ("" for Redis TIME). A script
-- parses and checks all its arguments and all its KEYS before its first write, because Lua does not
-- roll back. DERIVED keys share the hash tag of KEYS[1]. What users wrote is never decoded here.
local call, try, ARGV, KEYS = redis.call, redis.pcall, ARGV, KEYS
local byte, find, format, match, sub = string.byte, string.find, string.format, string.match, string.sub
local concat, min, max, floor = table.concat, math.min, math.max, math.floor
local tonumber, type, unpack, ipairs = tonumber, type, unpack, ipairs
local prefix = sub(KEYS[1], 1, -#'clock' - 1)
local position, refused, nothing, spelled, known = 1, nil, {}, {}, {}

local function failed(reply) return type(reply) == 'table' and reply.err ~= nil end

-- A whole number in plain digits. Most are spelled many times in one call: times, short positions.
local function digits(number)
  local text = spelled[number]
  if not text then
    text = format('%.0f', number)
    spelled[number] = text
  end
  return text
end

-- The number that a text spells in plain digits; nil for anything else: tonumber takes 'nan', '0x1', '1e9'.
local function whole(value)
  if known[value] then return known[value] end
  local number = value and tonumber(value)
  if not number or not find(value, '^%d+$') or number > 9007199254740991 then return nil end
  if #value < 14 then known[value] = number end  -- a time or less; fences come once
  return number
end

local function text()
  position = position + 1
  local value = ARGV[position]
  if not value then refused = 'too few' end
  return value or ''
end

local function number(high)
  local value = whole(text())
  if value and value <= (high or value) then return value end
  refused = 'argument ' .. position .. ' is no whole number, or too high'
  return 0
end

-- How many arguments or groups follow. Never more than there are, or than one variadic command takes.
local function count()
  local value = number(4000)
  if value > #ARGV - position then refused = 'too few' return 0 end
  return value
end

-- A list, each of whose items `read` takes from the arguments. Lua 5.1, which every server embeds, evaluates
-- the fields of a table constructor from left to right.
local function groups(read)
  local size = count()
  if size == 0 then return nothing end
  local found = {}
  for i = 1, size do found[i] = read() end
  return found
end

local function texts() return groups(text) end

local function refuse_arguments()
  if position ~= #ARGV then refused = refused or 'too many' end
  if ARGV[1] ~= '' and not whole(ARGV[1]) then refused = 'now_ms is no whole number' end
  return refused and redis.error_reply('ARGUMENTS ' .. refused)
end

local function refuse_types(types)
  for i = 1, #KEYS do
    local found = call('TYPE', KEYS[i]).ok
    if found ~= 'none' and found ~= types[i] then
      return redis.error_reply('TAMPERED ' .. KEYS[i] .. ' is a ' .. found .. ', not a ' .. types[i])
    end
  end
end

-- Milliseconds that never run backwards, and microseconds for fences. Writes: call it after the checks.
local function now()
  local us
  if ARGV[1] ~= '' then us = whole(ARGV[1]) * 1000
  else local time = call('TIME') us = tonumber(time[1]) * 1000000 + tonumber(time[2]) end
  local clock = call('HMGET', KEYS[1], 'offset', 'last')
  local offset, last = whole(clock[1]) or 0, whole(clock[2]) or 0
  local ms = floor(us / 1000) + offset
  if ms < last then
    offset = offset + last - ms
    ms = last
    call('HSET', KEYS[1], 'offset', digits(offset))
  elseif ms > last then
    call('HSET', KEYS[1], 'last', digits(ms))
  end
  return ms, ms * 1000 + us % 1000
end

-- Append a pair to the arguments of an HSET or ZADD.
local function put(list, first, second)
  local size = #list
  list[size + 1], list[size + 2] = first, second
end

-- A variadic command over a list of any length (unpack takes fewer than 8,000 values); its last reply.
local function all(command, key, list)
  local reply
  for from = 1, #list, 4000 do reply = call(command, key, unpack(list, from, min(from + 3999, #list))) end
  return reply
end

local function push_token(wake)
  try('LPUSH', wake, '1')
  try('LTRIM', wake, 0, 63)
end

-- Put task references into their queues (`pushes` by the names in `pushed`), and wake whoever waits at an empty one.
local function push_tasks(queues, pushed, pushes)
  local new = {}
  for _, queue in ipairs(pushed) do
    if all('RPUSH', prefix .. 'q:' .. queue, pushes[queue]) == #pushes[queue] then
      push_token(prefix .. 'wake:q:' .. queue)
      new[#new + 1] = queue
    end
  end
  all('SADD', queues, new)
end

-- Hand out these runs. The ZSET takes each once; idle engines are woken only when it was empty.
local function make_ready(ready, wake, ids, ms)
  if #ids == 0 then return 0 end
  local members, since = {}, digits(ms)
  for _, id in ipairs(ids) do put(members, since, id) end
  local added = call('ZADD', ready, 'NX', unpack(members))
  if added > 0 and call('ZCARD', ready) == added then push_token(wake) end
  return added
end

local function entry(kind, ms, path, claimed_ms, process, body)
  return kind .. '|' .. digits(ms) .. '|' .. path .. '|' .. claimed_ms .. '|' .. process .. '\n' .. body
end

-- Write a run that is not there yet, with its first inbox entry. The caller puts it into the sorted sets.
local function create_run(key, nonce, digest, summary, body, ms)
  call('HSET', key, 'nonce', nonce, 'digest', digest, 'summary', summary, 'etag', '', 'status', '', 'fence', '0',
    'created', digits(ms), 'updated', digits(ms), 'head', '0', 'tail', '1',
    'i:0', entry('started', ms, '', '0', '', body))
end

-- A task's record is `state|process|claimed_ms|cancelled|token|queue|queued_ms|timeout_ms|payload`, a line's end and
-- its message; its state Q (queued) or R (running). What a claim changes comes first, so that it copies the rest as it
-- is. Behind the payload's name may be '|' and the path of the task that it came after: then its message is in c:<that
-- path>. A closed task has another state or none.
local UNCLAIMED = 'Q||0|0|'

-- The record's parts; nil for a closed task.
local function parse_task(record)
  local state, process, claimed_ms, cancelled, rest, token, queue, queued_ms, timeout_ms, payload = match(
    record or '', '^([QR])|([^|]*)|(%d+)|([01])|()([^|]*)|([^|]*)|(%d+)|(%d+)|([^\n]*)\n')
  return state and {state = state, process = process, claimed_ms = claimed_ms, cancelled = cancelled, token = token,
    queue = queue, queued_ms = queued_ms, timeout_ms = timeout_ms, payload = payload, rest = sub(record, rest)}
end

local function claimed_record(process, claimed_ms, cancelled, rest)
  return 'R|' .. process .. '|' .. claimed_ms .. '|' .. cancelled .. '|' .. rest
end

local function fence_of(token) return whole(match(token or '', '^(%d+)-')) or 0 end

-- A slot lets so many runs of one name be under way at once; the others wait in its line, in the order of their starts.
-- A run's `slot` is `state|name`: H it holds, W it waits in the line, F it gave its place back and waits for a person.
local function slot_parts(value) return match(value or '', '^([HWF])|(.+)$') end

-- A hash with its `limit`, run id -> when it was last looked at, run id -> its place.
local function slot_keys(name)
  return prefix .. 'slot:' .. name, prefix .. 'holders:' .. name, prefix .. 'line:' .. name
end

-- Takes out holders that are gone though nobody said so (a record that was deleted). Each is looked at once a minute.
local function check_holders(name, ms)
  local _, holders = slot_keys(name)
  local found = try('ZRANGEBYSCORE', holders, '-inf', digits(max(ms - 60000, 0)), 'LIMIT', 0, 100)
  for _, id in ipairs(failed(found) and nothing or found) do
    local got = try('HMGET', prefix .. 'run:' .. id, 'end', 'slot')
    if not failed(got) and got[1] ~= '1' and got[2] == 'H|' .. name then call('ZADD', holders, digits(ms), id)
    else call('ZREM', holders, id) end
  end
end

-- Lets those who waited longest begin while there is room, and appends them to `woken`. Time counts from now for them.
local function admit_waiting(name, ms, woken)
  local slot, holders, line = slot_keys(name)
  local held, ids = try('ZCARD', holders), try('ZRANGE', line, 0, 99)
  local limit = try('HGET', slot, 'limit')
  if failed(held) or failed(ids) or failed(limit) then return end
  local room, left = (whole(limit) or 1) - held, {}
  for _, id in ipairs(ids) do
    if room <= 0 then break end
    local run = prefix .. 'run:' .. id
    local got = try('HMGET', run, 'end', 'slot', 'i:0')
    local waits = not failed(got) and got[1] ~= '1' and got[2] == 'W|' .. name
    local rest = waits and match(got[3] or '', '^started|%d+(|.*)$')
    if rest then
      call('HSET', run, 'slot', 'H|' .. name, 'i:0', 'started|' .. digits(ms) .. rest)
      call('ZADD', holders, digits(ms), id)
      woken[#woken + 1], held, room = id, held + 1, room - 1
    end
    left[#left + 1] = id
  end
  all('ZREM', line, left)
  if held == 0 and #left == #ids then call('DEL', slot) end
end
