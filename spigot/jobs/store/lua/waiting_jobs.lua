-- requires: slice, bucket, bucket_stats, job_end, places, result_log
--[[
Functions that take many jobs out of where they wait and cancel them. `purge` is what one script
does: {bucket, keep_s, now_us, error, left, taken, cancelled}; `left` is how many entries it may
still take out.
]]

-- Not of an entry without a job, or of a job that runs or has ended: those are only taken out.
local function is_to_cancel(id)
  local job = lenient("HMGET", RQ_JOB .. id, "data", "status", "spigot_token") or {}
  return job[1] and not ENDED[job[2]] and not is_running(job[3])
end

local function has_numbers(bucket) return redis.call("EXISTS", bucket_key(bucket)) == 1 end

-- Whether the script has done its part; there may be more for the next one.
local function is_done(purge) return purge.left < 1 or purge.taken > 0 and slice_is_over() end

local function cancel_one(purge, id, queue)
  purge.left, purge.taken = purge.left - 1, purge.taken + 1
  if not is_to_cancel(id) then return end
  if has_numbers(purge.bucket) then -- else it is a queue of plain RQ
    local entry = { now_us = purge.now_us, job = id, bucket = purge.bucket, status = "cancelled",
      error = purge.error, token = string.format("cancelled:%s:%d", id, purge.now_us), owner = "" }
    log_line(entry)
    count_end(entry)
  end
  cancel_job(id, queue, purge.now_us, purge.keep_s, purge.error)
  purge.cancelled = purge.cancelled + 1
end

local function purge_queue(purge, queue)
  if is_done(purge) then return end
  local before = purge.taken
  for _, id in ipairs(redis.call("LRANGE", RQ_QUEUE .. queue, 0, purge.left - 1)) do
    cancel_one(purge, id, queue)
    if slice_is_over() then break end
  end
  local taken = purge.taken - before
  if taken == 0 then return end
  redis.call("LPOP", RQ_QUEUE .. queue, taken)
  if has_numbers(purge.bucket) then move_head(queue, taken) end
end

-- Without a queue, each job's own.
local function purge_set(purge, set, queue)
  if is_done(purge) then return end
  for _, id in ipairs(redis.call("ZRANGE", set, 0, purge.left - 1)) do
    cancel_one(purge, id, queue or lenient("HGET", RQ_JOB .. id, "origin") or purge.bucket)
    redis.call("ZREM", set, id)
    if slice_is_over() then break end
  end
end
