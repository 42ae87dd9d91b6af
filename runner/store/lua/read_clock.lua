#!lua flags=allow-oom
-- Read the clock that never runs backwards.
--
-- KEYS 1 clock hash
-- ARGV 1 now_ms
-- DERIVED none
-- RETURNS ms
local wrong = refuse_types({'hash'})
if wrong then return wrong end
wrong = refuse_arguments()
if wrong then return wrong end
return digits(now())
