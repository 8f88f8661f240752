-- requires: times, bucket
--[[
End a bucket's hold: its downstream is asked at once.

KEYS[1] bucket   hash; no key means that there is no such bucket
KEYS[2] changes  list of JSON {at, by, changes}, newest first

ARGV[1] bucket  name
ARGV[2] by      who ends it, kept in the list of changes
ARGV[3] now_us  Unix time, or "" for the clock of Redis (only tests pass it)

Returns until when it was held, RFC 3339; "" if it was not; nil if there is no such bucket
]]
local KEPT_CHANGES = 100
local bucket, by, now_us = KEYS[1], ARGV[2], clock_us(ARGV[3])

if redis.call("EXISTS", bucket) == 0 then return nil end
local held_us = number(redis.call("HGET", bucket, "held_until_us")) or 0
local until_text = held_us > now_us and utc_text(held_us) or ""
redis.call("HDEL", bucket, "held_until_us", "hold_reason", "hold_kind", "hold_level", "probing", "probe_token")
if until_text ~= "" then
  local record = { at = utc_text(now_us), by = by, changes = { held_until = { until_text, "" } } }
  redis.call("LPUSH", KEYS[2], cjson.encode(record))
  redis.call("LTRIM", KEYS[2], 0, KEPT_CHANGES - 1)
end
wake(ARGV[1])
return until_text
