-- requires: times, bucket, changes, waiting_jobs
--[[
Cancel jobs that wait in a bucket, in its queues or for a time.

ARGV[1] bucket   name
ARGV[2] keep_s   how long a cancelled job is kept, >= 1
ARGV[3] by       who wants it
ARGV[4] at_once  how many to take out at most, >= 1
ARGV[5] before   how many calls before this one cancelled, >= 0; the last one notes all of them in
                 the list of changes
ARGV[6] now_us   Unix time, or "" for the clock of Redis (only tests pass it)

Returns {how many were cancelled, 1 if there may be more else 0}
]]
local name = ARGV[1]
local purge = { bucket = name, keep_s = tonumber(ARGV[2]), now_us = clock_us(ARGV[6]),
  error = "Cancelled: its bucket was purged by " .. ARGV[3], left = tonumber(ARGV[4]),
  taken = 0, cancelled = 0 }

for _, list in ipairs(queue_keys(name)) do
  local queue = queue_name(list)
  purge_queue(purge, queue)
  purge_set(purge, "rq:scheduled:" .. queue, queue)
end
purge_set(purge, bucket_key(name) .. ":delayed")
local more = is_done(purge)
if not more then
  local cancelled = tonumber(ARGV[5]) + purge.cancelled
  keep_change(name, purge.now_us, ARGV[3], { purged = { "", string.format("%.0f", cancelled) } })
end
return { purge.cancelled, more and 1 or 0 }
