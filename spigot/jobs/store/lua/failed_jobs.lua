-- requires: times, bucket, room, job_moves
--[[
Functions that let a job that failed wait in its queue again.
]]

-- It may fail as often again as at first.
local function restore_retries(job)
  local retries = redis.call("HMGET", job, "retries_left", "number_of_retries")
  local left, used = number(retries[1]), number(retries[2])
  if left and used then redis.call("HSET", job, "retries_left", left + used) end
  redis.call("HDEL", job, "number_of_retries", "spigot_reaps", "spigot_suspicion", "spigot_refusals",
    "spigot_refused_us", "spigot_set_back", "spigot_first_slot_us")
end

-- nil, or why it may not wait: {"full" | "draining", bucket, ms until it is worth to come back},
-- {"newer", bucket, schema}: a newer version wrote its numbers, or {"unpublished"}: its queue
-- belongs to no bucket.
local function let_wait_again(id, queue, now_us)
  local job, bucket = RQ_JOB .. id, read_bucket(bucket_of(queue))
  if not bucket then return { "unpublished" } end
  if is_newer(bucket) then return { "newer", bucket.name, bucket.schema } end
  local waiting = waiting_in(queue_keys(bucket.name))
  local refused = refusal(bucket, now_us, waiting)
  if refused then return { refused[1], bucket.name, refused[2] } end

  redis.call("PERSIST", job)
  restore_retries(job)
  redis.call("HDEL", job, "started_at", "ended_at", "spigot_error", "spigot_progress",
    "spigot_failure")
  redis.call("HSET", job, "enqueued_at", utc_text(now_us), "spigot_enqueued_us", now_us)
  to_queue(id, queue)
  lenient("ZREM", "rq:failed:" .. queue, id)
  if waiting == 0 then wake(bucket.name) end
  return nil
end
