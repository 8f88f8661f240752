-- requires: times, bucket, changes
--[[
End a bucket's hold: its downstream is asked at once.

KEYS[1] bucket  hash; no key means that there is no such bucket

ARGV[1] bucket  name
ARGV[2] by      who ends it, kept in the list of changes
ARGV[3] now_us  Unix time, or "" for the clock of Redis (only tests pass it)

Returns until when it was held, RFC 3339; "" if it was not; nil if there is no such bucket
]]
local bucket, by, now_us = KEYS[1], ARGV[2], clock_us(ARGV[3])

if redis.call("EXISTS", bucket) == 0 then return nil end
local held_us = number(redis.call("HGET", bucket, "held_until_us")) or 0
local until_text = held_us > now_us and utc_text(held_us) or ""
redis.call("HDEL", bucket, "held_until_us", "hold_reason", "hold_kind", "hold_level", "probing", "probe_token")
if until_text ~= "" then
  keep_change(ARGV[1], now_us, by, { held_until = { until_text, "" } })
end
wake(ARGV[1])
return until_text
