--[[
Functions that take many jobs out of where they wait and cancel them. `purge` is what one script
does: {bucket, keep_s, now_us, error, left, taken, cancelled}; `left` is how many entries it may
still take out.
]]
local ENDED = { finished = true, failed = true, canceled = true, stopped = true }

-- Not of an entry without a job, or of a job that runs or has ended: those are only taken out.
local function is_to_cancel(id)
  local job = redis.call("HMGET", RQ_JOB .. id, "data", "status", "spigot_token")
  local runs = job[3] and redis.call("EXISTS", "spigot:1:lease:" .. job[3]) == 1
  return job[1] and not runs and not ENDED[job[2]]
end

local function has_numbers(bucket) return redis.call("EXISTS", bucket_key(bucket)) == 1 end

local function cancel_one(purge, id, queue)
  purge.left, purge.taken = purge.left - 1, purge.taken + 1
  if not is_to_cancel(id) then return end
  if has_numbers(purge.bucket) then -- else it is a queue of plain RQ
    log_line({ now_us = purge.now_us, job = id, bucket = purge.bucket, status = "cancelled",
      error = purge.error, token = "cancelled:" .. id .. ":" .. purge.now_us, owner = "" })
  end
  cancel_job(id, queue, purge.now_us, purge.keep_s, purge.error)
  purge.cancelled = purge.cancelled + 1
end

local function purge_queue(purge, queue)
  if purge.left < 1 then return end
  local ids = redis.call("LPOP", RQ_QUEUE .. queue, purge.left) or {}
  if #ids > 0 and has_numbers(purge.bucket) then
    redis.call("HINCRBY", bucket_key(purge.bucket), head_field(queue), #ids)
  end
  for _, id in ipairs(ids) do cancel_one(purge, id, queue) end
end

-- Without a queue, each job's own.
local function purge_set(purge, set, queue)
  if purge.left < 1 then return end
  for _, id in ipairs(redis.call("ZRANGE", set, 0, purge.left - 1)) do
    redis.call("ZREM", set, id)
    cancel_one(purge, id, queue or redis.call("HGET", RQ_JOB .. id, "origin") or purge.bucket)
  end
end
