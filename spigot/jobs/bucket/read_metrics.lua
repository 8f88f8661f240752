-- requires: times, bucket, bucket_stats, workers
--[[
Read what the metrics show of a bucket. The work does not grow with what waits in it.

ARGV[1] bucket  name
ARGV[2] now_us  Unix time, or "" for the clock of Redis (only tests pass it)

Returns {now_us, waiting, us that the oldest waiting job waits, delayed, running, workers alive,
how many jobs these run at once, lines not yet in a result log, 1 if RQ is suspended else 0, fields of the bucket's hash, fields
of its counters (bucket_stats.lua), {histogram, bounds in us…} for each histogram},
or {} if the bucket has no numbers yet
]]
local name, now_us = ARGV[1], clock_us(ARGV[2])
local key = bucket_key(name)

-- Of the three that wait at the heads: behind them wait only jobs that joined later.
local function longest_wait_us()
  local longest_us = 0
  for _, queue in ipairs(queue_keys(name)) do
    local head = lenient("LINDEX", queue, 0)
    if head then
      local times = lenient("HMGET", RQ_JOB .. head, unpack(TIMES)) or {}
      longest_us = math.max(longest_us, now_us - (joined_us(unpack(times, 1, 3)) or now_us))
    end
  end
  return longest_us
end

local function bounds()
  local lists = {}
  for histogram, list in pairs(BOUNDS_US) do lists[#lists + 1] = { histogram, unpack(list) } end
  return lists
end

if not read_bucket(name) then return {} end
local workers, concurrency = living_workers(name, now_us)
return { now_us, waiting_in(queue_keys(name)), longest_wait_us(), delayed_in(name),
  size_of(key .. ":leases"), workers, concurrency,
  lenient("HLEN", key .. ":unlogged") or 0, redis.call("EXISTS", "rq:suspended"),
  redis.call("HGETALL", key), lenient("HGETALL", key .. ":stats") or {}, bounds() }
