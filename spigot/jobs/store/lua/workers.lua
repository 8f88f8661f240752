-- requires: times, bucket
--[[
Functions that know who serves a bucket.
]]

-- How many worker processes live, and how many jobs these run at once. Only pools, which run more
-- than one, say how many.
local function living_workers(name, now_us)
  local workers = bucket_key(name) .. ":workers"
  local alive = lenient("ZCOUNT", workers, ms(now_us), "+inf") or 0
  local concurrency, pools = alive, lenient("HGETALL", bucket_key(name) .. ":concurrency") or {}
  for i = 1, #pools, 2 do
    local until_ms = number(lenient("ZSCORE", workers, pools[i])) or 0
    if until_ms >= ms(now_us) then concurrency = concurrency + (number(pools[i + 1]) or 1) - 1 end
  end
  return alive, concurrency
end
