#!lua flags=allow-oom
-- Note that an alert fires, or no more, and say whether the caller is the one to tell of it.
--
-- KEYS 1 clock  hash
--      2 alerts hash  name -> firing (1 or 0)|since|told at|nonce of who told|what
-- ARGV 1 now_ms
--      2 name
--      3 nonce        a repeat with the same one gets the same answer
--      4 firing       1 or 0
--      5 cool_down_ms
--      6 body
-- DERIVED none
-- RETURNS 1: tell of it; 0: it is told already, or there is nothing to tell
local clock, alerts = unpack(KEYS)
local wrong = refuse_types({'hash', 'hash'})
if wrong then return wrong end
local name, nonce, firing, cool_down_ms, body = text(), text(), number(1), number(), text()
wrong = refuse_arguments()
if wrong then return wrong end

local ms = now()
local was, since, told, teller = match(call('HGET', alerts, name) or '', '^([01])|(%d+)|(%d+)|([^|]*)|')
if was and teller == nonce then return 1 end
was, since, told = tonumber(was or 0), whole(since) or 0, whole(told) or 0
local tell
if firing == 1 then tell = told + cool_down_ms <= ms
else tell = was == 1 and told >= since end
if was == firing and not tell then return 0 end
if was ~= firing then since = ms end
if tell and firing == 1 then told = ms end
local times = digits(since) .. '|' .. digits(told)
call('HSET', alerts, name, firing .. '|' .. times .. '|' .. (tell and nonce or '') .. '|' .. body)
return tell and 1 or 0
