--[[
Read what the metrics show of a bucket. The work does not grow with what waits in it.

ARGV[1] bucket  name
ARGV[2] now_us  Unix time, or "" for the clock of Redis (only tests pass it)

Returns {now_us, waiting, us that the oldest waiting job waits, delayed, running, workers alive,
lines not yet in a result log, 1 if RQ is suspended else 0, fields of the bucket's hash, fields
of its counters (bucket_stats.lua), {histogram, bounds in us…} for each histogram},
or {} if the bucket has no numbers yet
]]
local name, now_us = ARGV[1], clock_us(ARGV[2])
local key = bucket_key(name)

-- Of the three that wait at the heads: behind them wait only jobs that joined later.
local function longest_wait_us()
  local longest_us = 0
  for _, queue in ipairs(queue_keys(name)) do
    local head = redis.call("LINDEX", queue, 0)
    if head then
      longest_us = math.max(longest_us, now_us - (waits_since_us(head) or now_us))
    end
  end
  return longest_us
end

local function delayed()
  local jobs = redis.call("ZCARD", key .. ":delayed")
  for _, queue in ipairs(queue_keys(name)) do
    jobs = jobs + redis.call("ZCARD", "rq:scheduled:" .. string.sub(queue, #RQ_QUEUE + 1))
  end
  return jobs
end

local function bounds()
  local lists = {}
  for histogram, list in pairs(BOUNDS_US) do lists[#lists + 1] = { histogram, unpack(list) } end
  return lists
end

if not read_bucket(name) then return {} end
return { now_us, waiting_in(queue_keys(name)), longest_wait_us(), delayed(),
  redis.call("ZCARD", key .. ":leases"), redis.call("ZCOUNT", key .. ":workers", ms(now_us), "+inf"),
  redis.call("HLEN", key .. ":unlogged"), redis.call("EXISTS", "rq:suspended"),
  redis.call("HGETALL", key), redis.call("HGETALL", key .. ":stats"), bounds() }
