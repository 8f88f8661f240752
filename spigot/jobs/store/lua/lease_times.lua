-- requires: times, bucket, clock
--[[
Functions that keep leases true to the time that workers could really renew them.
]]

-- Extends a lease once: whoever holds it must renew it before it can be extended again.
local function extend(leases, token, until_ms)
  if lenient("HSETNX", lease_key(token), "extended", 1) == 1 then
    redis.call("ZADD", leases, "XX", "GT", until_ms, token)
  end
end

-- If the last contact of any worker is longer ago than `outage_threshold_ms`, the server was away
-- (it hung, or was restarted) and no worker could renew: all leases are extended before one of them
-- counts as expired.
local function extend_after_outage(name, now_us, lease_ms, outage_threshold_ms)
  local key = bucket_key(name)
  local known = redis.call("HMGET", key, "heard_us", "clock_us")
  local last_contact_us, clock_us = number(known[1]) or now_us, number(known[2])
  if was_set_back(clock_us, now_us) then set_clock_back(name, clock_us, now_us) end
  redis.call("HSET", key, "heard_us", now_us, "clock_us", now_us)
  if now_us - last_contact_us <= outage_threshold_ms * 1000 then return end
  for _, token in ipairs(redis.call("ZRANGEBYSCORE", key .. ":leases", ms(last_contact_us), "+inf")) do
    extend(key .. ":leases", token, ms(now_us) + lease_ms)
  end
end

local function renew(leases, token, until_ms)
  redis.call("ZADD", leases, "XX", until_ms, token)
  lenient("HDEL", lease_key(token), "extended")
end
