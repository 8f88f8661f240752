-- requires: times, bucket, bucket_stats, workers, budgets, next_start
--[[
Read what the metrics show of a bucket. The work does not grow with what waits in it.

ARGV[1] bucket  name
ARGV[2] now_us  Unix time, or "" for the clock of Redis (only tests pass it)

Returns {now_us, waiting, us that the oldest waiting job waits, delayed, running, workers alive,
how many jobs these run at once, lines not yet in a result log, 1 if RQ is suspended else 0, fields of the bucket's hash, fields
of its counters (bucket_stats.lua), {histogram, bounds in us…} for each histogram,
the budget that the next job waits for or "", fields of the hash of its budgets},
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
      local times = lenient("HMGET", RQ_JOB .. head, "spigot_due_us", "spigot_enqueued_us", "enqueued_at",
        "created_at") or {}
      local joined = joined_us({ spigot_due_us = times[1], spigot_enqueued_us = times[2],
        enqueued_at = times[3], created_at = times[4] })
      longest_us = math.max(longest_us, now_us - (joined or now_us))
    end
  end
  return longest_us
end

local function bounds()
  local lists = {}
  for histogram, list in pairs(BOUNDS_US) do lists[#lists + 1] = { histogram, unpack(list) } end
  return lists
end

local bucket = read_bucket(name)
if not bucket then return {} end
local _, narrow = next_start(bucket, now_us)
local workers, concurrency = living_workers(name, now_us)
return { now_us, waiting_in(queue_keys(name)), longest_wait_us(), delayed_in(name),
  size_of(key .. ":leases"), workers, concurrency,
  lenient("HLEN", key .. ":unlogged") or 0, redis.call("EXISTS", "rq:suspended"),
  redis.call("HGETALL", key), lenient("HGETALL", key .. ":stats") or {}, bounds(),
  narrow or "", bucket.budgets and lenient("HGETALL", budgets_key(name)) or {} }
