-- requires: slice, times, bucket, failed_jobs
--[[
Let some of a queue's failed jobs wait again, the oldest first, until the bucket is full.

ARGV[1] queue    name
ARGV[2] skip     entries at the beginning that were looked at before and were no failed jobs, >= 0
ARGV[3] at_once  entries to look at, at most, >= 1
ARGV[4] now_us   Unix time, or "" for the clock of Redis (only tests pass it)

Returns {jobs that wait again, entries looked at, why the next one may not wait or {}}; the last
as `let_wait_again` in failed_jobs.lua says
]]
local queue, skip, at_once = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now_us = clock_us(ARGV[4])
local requeued, looked = 0, 0

for _, id in ipairs(redis.call("ZRANGE", "rq:failed:" .. queue, skip, skip + at_once - 1)) do
  if lenient("HGET", RQ_JOB .. id, "status") == "failed" then
    local refused = let_wait_again(id, queue, now_us)
    if refused then return { requeued, looked, refused } end
    requeued = requeued + 1
  end
  looked = looked + 1
  if slice_is_over() then break end
end
return { requeued, looked, {} }
