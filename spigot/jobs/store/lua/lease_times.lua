-- requires: bucket
--[[
Functions that keep leases true to the time that workers could really renew them.
]]

-- Extends a lease once: whoever holds it must renew it before it can be extended again.
local function extend(leases, token, until_ms)
  if lenient("HSETNX", "spigot:1:lease:" .. token, "extended", 1) == 1 then
    redis.call("ZADD", leases, "XX", "GT", until_ms, token)
  end
end

-- If nobody spoke to the server for `silence_ms` (it hung, or was restarted), no worker could
-- renew: all leases are extended before one of them counts as expired.
local function extend_after_silence(name, now_us, lease_ms, silence_ms)
  local key = bucket_key(name)
  local heard_us = number(redis.call("HGET", key, "heard_us")) or now_us
  redis.call("HSET", key, "heard_us", now_us)
  if now_us - heard_us <= silence_ms * 1000 then return end
  for _, token in ipairs(redis.call("ZRANGEBYSCORE", key .. ":leases", ms(heard_us), "+inf")) do
    extend(key .. ":leases", token, ms(now_us) + lease_ms)
  end
end

local function renew(leases, token, until_ms)
  redis.call("ZADD", leases, "XX", until_ms, token)
  lenient("HDEL", "spigot:1:lease:" .. token, "extended")
end
