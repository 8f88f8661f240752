-- requires: slice, times, bucket, ended_jobs, waiting_jobs
--[[
Empty one of the places in which RQ keeps a queue's jobs: cancel those that wait, forget those
that have ended. What a bucket delays counts as scheduled in the queue of its name.

ARGV[1] queue    name
ARGV[2] place    queued, scheduled, deferred, finished, failed or canceled
ARGV[3] keep_s   how long a cancelled job is kept, >= 1
ARGV[4] by       who wants it
ARGV[5] at_once  how many to take out at most, >= 1
ARGV[6] now_us   Unix time, or "" for the clock of Redis (only tests pass it)

Returns how many entries were taken out; fewer than ARGV[5] say nothing of what is left
]]
local queue, place = ARGV[1], ARGV[2]
local purge = { bucket = bucket_of(queue), keep_s = tonumber(ARGV[3]), now_us = clock_us(ARGV[6]),
  error = "Cancelled: its queue was emptied by " .. ARGV[4], left = tonumber(ARGV[5]),
  taken = 0, cancelled = 0 }
local set = "rq:" .. place .. ":" .. queue

local function forget_ended()
  for _, id in ipairs(redis.call("ZRANGE", set, 0, purge.left - 1)) do
    if ENDED[lenient("HGET", RQ_JOB .. id, "status") or ""] then forget_job(id, queue) end
    redis.call("ZREM", set, id)
    purge.taken = purge.taken + 1
    if slice_is_over() then break end
  end
end

if place == "queued" then
  purge_queue(purge, queue)
elseif place == "scheduled" or place == "deferred" then
  purge_set(purge, set, queue)
  if place == "scheduled" then purge_set(purge, bucket_key(queue) .. ":delayed") end
else
  forget_ended()
end
return purge.taken
