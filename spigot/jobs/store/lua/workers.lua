-- requires: bucket
--[[
Functions that know who serves a bucket.
]]

-- How many worker processes live, and how many jobs these run at once. Only pools, which run more
-- than one, say how many. What holds something else counts as empty.
local function living_workers(name, now_us)
  local key, now_ms = bucket_key(name), math.floor(now_us / 1000)
  local workers = key .. ":workers"
  local alive = tonumber(redis.pcall("ZCOUNT", workers, now_ms, "+inf")) or 0
  if alive == 0 then return 0, 0 end
  local concurrency, pools = alive, redis.pcall("HGETALL", key .. ":concurrency")
  for i = 1, #pools, 2 do
    local until_ms = number(lenient("ZSCORE", workers, pools[i])) or 0
    if until_ms >= now_ms then concurrency = concurrency + (number(pools[i + 1]) or 1) - 1 end
  end
  return alive, concurrency
end
