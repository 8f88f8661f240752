-- requires: bucket, attempts, bucket_stats, job_end, repeats, result_log, refusals, failures
--[[
The end of an attempt that is not the usual one, which complete.lua writes out: a job failed, was
cancelled, repeats, is awaited, was reaped before, was made by plain RQ, or has left already.
]]
-- A function returned: the job has finished, or is to run again. Returns whether jobs wait for it.
local function finish_job(lease, fate, now_us, returned)
  local id, queue, known = lease.job, lease.queue, lease.known
  local ttl_s, repeats_left = number(known.result_ttl) or RQ_RESULT_TTL_S, number(known.repeats_left) or 0
  if ttl_s ~= 0 then add_result(id, 1, lease, now_us, ttl_s, "return_value", returned) end
  if repeats_left > 0 and fate ~= "cancelled" then return repeat_job(lease, repeats_left, now_us, ttl_s) end
  -- a function that returned before it could be stopped has done its work; and RQ brings a child
  -- back that is cancelled while its parent ends
  lenient("ZREM", "rq:canceled:" .. queue, id)
  if ttl_s ~= 0 then lenient("ZADD", "rq:finished:" .. queue, registry_score(now_us, ttl_s), id) end
  return end_job(id, queue, "finished", now_us, ttl_s, known)
end

-- Estimates need to know how long a worker is taken. Usual ends tell the same, several at once, in
-- section 2 of complete.lua.
local function tell_bucket(lease, status, now_us)
  local key, run_us = bucket_key(lease.bucket), math.max(0, now_us - lease.slot_us)
  local numbers = try("HMGET", key, "mean_run_us", "max_running", "refused_us") or {}
  local mean_us = number(numbers[1]) or run_us
  try("HSET", key, "mean_run_us", math.floor(mean_us + (run_us - mean_us) / 8))
  if numbers[3] and (status == "finished" or status == "failed") then note_pass(lease, now_us) end
  if (number(numbers[2]) or 0) > 0 and waiting_in(queue_keys(lease.bucket)) > 0 then wake(lease.bucket) end
end

-- `told` has the arguments of complete.lua by their names. Returns its answer.
local function end_otherwise(told)
  local token, status, now_us = told.token, told.status, told.now_us
  local late_us, keep_s = tonumber(told.late_us), tonumber(told.keep_s)
  local used, noted = told.told, ""
  if used ~= "" then used, noted = string.match(used, "^([^|]*)|?(.*)$") end

  -- Decide whether the attempt is still to be ended, and how.
  local lease = read_lease(token)
  if not lease then return ended_before(told.bucket, token) end
  local ending = { now_us = now_us, started = late_us or status == "finished", reported = used, noted = noted }
  local fate = fate_of(lease)
  if fate == "left" then
    leave_attempt(lease, fate, ending)
    return ended_before(told.bucket, token)
  end
  if status ~= "finished" and fate == "cancelled" then status = "cancelled" end

  -- Arrive: a line for the log, the result, the job's last state.
  local entry = { now_us = now_us, job = lease.job, bucket = lease.bucket, type = told.type,
    status = status, attempt = lease.attempt, worker = lease.worker, slot_us = lease.slot_us,
    result = told.result, error = status ~= "finished" and told.error or nil, token = token, owner = lease.worker,
    late_us = late_us, known = lease.known }
  local line, is_awaited = log_line(entry), false
  if fate ~= "deleted" then
    keep_progress(lease.job, told.progress)
    if used ~= "" then redis.call("HSET", RQ_JOB .. lease.job, "spigot_cost_actual", used) end
    if status == "finished" then
      is_awaited = finish_job(lease, fate, now_us, told.returned)
    else
      end_unless_it_goes_on(lease, status, now_us, keep_s, told.error, told.trace)
      is_awaited = has_dependents(lease.job, lease.bucket) == 1
    end
  end

  -- Leave the attempt, and tell.
  ending.counted = status == "finished" and "successful_job_count" or "failed_job_count"
  leave_attempt(lease, fate, ending)
  count_end(entry)
  if (status == "failed" or status == "refused") and fate ~= "deleted" then
    note_failure(entry, told.place, told.trace, keep_s)
  end
  tell_bucket(lease, status, now_us)
  return { line, is_awaited and 1 or 0 }
end
