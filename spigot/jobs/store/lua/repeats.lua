-- requires: times, bucket, clock, job_end, job_moves
--[[
Functions that let a job run again that is to be repeated.
]]
-- How long after its nth last run a job is to run again. Source: rq.repeat.Repeat.get_interval.
local function interval_s(nth_last, intervals)
  local readable, list = pcall(cjson.decode, intervals or "[0]")
  if not readable or type(list) ~= "table" then return 0 end
  return math.max(0, number(list[math.min(nth_last, #list)]) or 0)
end

-- The job finished, and is to run again. Returns whether jobs wait for its end.
local function repeat_job(lease, repeats_left, now_us, ttl_s)
  local job = RQ_JOB .. lease.job
  local interval_us = interval_s(repeats_left, redis.call("HGET", job, "repeat_intervals")) * SECOND_US
  local is_awaited = note_dependents(lease.job, lease.queue, ttl_s)
  if interval_us > 0 then
    heed_clock(lease.bucket, now_us)
    to_delayed(lease.job, lease.queue, now_us + interval_us)
  else
    to_queue(lease.job, lease.queue)
  end
  redis.call("HSET", job, "repeats_left", repeats_left - 1, "enqueued_at", utc_text(now_us))
  try("HDEL", job, "spigot_reaps", "spigot_suspicion")
  wake(lease.bucket)
  return is_awaited
end
