-- requires: times, bucket, workers, budgets, next_start
--[[
Read a bucket: its numbers, and how much of what is in it.

ARGV[1] bucket  name
ARGV[2] now_us  Unix time, or "" for the clock of Redis (only tests pass it)

Returns {now_us, next start in us or 0, waiting, delayed, running, workers alive, how many jobs
these run at once, fields of the hash, the budget that the next job waits for or "", fields of the
hash of its budgets},
or {} if the bucket has no numbers yet
]]
local name, now_us = ARGV[1], clock_us(ARGV[2])
local key = bucket_key(name)
local bucket = read_bucket(name)
if not bucket then return {} end

local workers, concurrency = living_workers(name, now_us)
local start_us, narrow = next_start(bucket, now_us)
return { now_us, start_us or 0, waiting_in(queue_keys(name)), delayed_in(name),
  size_of(key .. ":leases"), workers, concurrency, redis.call("HGETALL", key),
  narrow or "", bucket.budgets and lenient("HGETALL", budgets_key(name)) or {} }
