-- requires: times, bucket, attempts, bucket_stats, job_end, repeats, result_log, refusals, failures
-- rarely: ended_before, end_unless_it_goes_on, note_failure, settle_budgets, repeat_job, keep_progress, note_pass, wake, waiting_in, utc_us, has_dependents, read_logged, logged
--[[
End an attempt whose function was run, and with it the job: finished, failed or cancelled.

KEYS[1] lease       hash; no key means that the attempt was given to somebody else

ARGV[1] token       of the attempt
ARGV[2] status      finished, failed, cancelled, or refused: failed, because its downstream will
                    never serve it
ARGV[3] type        name for the result log: the job type's, or the function's
ARGV[4] result      JSON of what the function returned; "" unless finished
ARGV[5] returned    the same as RQ keeps it (base64); "" for None
ARGV[6] error       one line; "" if finished
ARGV[7] trace       traceback as RQ keeps it (base64 of zlib); "" if finished
ARGV[8] keep_s      how long a cancelled job is kept, >= 1
ARGV[9] bucket      name
ARGV[10] progress   JSON of what the function reported last; "" for none
ARGV[11] now_us     Unix time, or "" for the clock of Redis (only tests pass it)
ARGV[12] late_us    how long after its slot the function was called; "" if it was not
ARGV[13] place      where the application raised the error; "" if finished, or if it raised none
ARGV[14] told       what it said that it used of each budget, as budgets.lua reads amounts, "|", and
                    what its downstream said of its limits, as upstream_limits.lua reads it

Returns {line for the result log, 1 if jobs depend on this one else 0}, the same again when it
is called again before the line is logged, or {} if the lease is gone: then nothing was changed
Source: rq.worker.BaseWorker.handle_job_success and handle_job_failure, rq.repeat.Repeat.schedule,
RQ 2.12.
]]
local token, status, type_name, result, returned = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local error, trace, keep_s, bucket = ARGV[6], ARGV[7], tonumber(ARGV[8]), ARGV[9]
local progress, now_us, late_us = ARGV[10], clock_us(ARGV[11]), tonumber(ARGV[12])
local used, noted = ARGV[14] or "", ""
if used ~= "" then used, noted = string.match(used, "^([^|]*)|?(.*)$") end

-- 1. Decide whether the attempt is still to be ended, and how.

local lease = read_lease(token)
if not lease then return ended_before(bucket, token) end
local ending = { now_us = now_us, started = late_us or status == "finished", reported = used, noted = noted }
local fate = fate_of(lease)
if fate == "left" then
  leave_attempt(lease, fate, ending)
  return ended_before(bucket, token)
end
if status ~= "finished" and fate == "cancelled" then status = "cancelled" end
local id, queue, key, known = lease.job, lease.queue, bucket_key(lease.bucket), lease.known

-- 2. Arrive: a line for the log, the result, the job's last state.

local entry = { now_us = now_us, job = id, bucket = lease.bucket, type = type_name,
  status = status, attempt = lease.attempt, worker = lease.worker, slot_us = lease.slot_us,
  result = result, error = status ~= "finished" and error or nil, token = token, owner = lease.worker,
  late_us = late_us, known = known }
local line, is_awaited = log_line(entry), false
if fate ~= "deleted" then
  if progress ~= "" then keep_progress(id, progress) end
  if used ~= "" then redis.call("HSET", RQ_JOB .. id, "spigot_cost_actual", used) end
  local ttl_s, repeats_left = number(known.result_ttl) or RQ_RESULT_TTL_S, number(known.repeats_left) or 0
  if status ~= "finished" then
    end_unless_it_goes_on(lease, status, now_us, keep_s, error, trace)
    is_awaited = has_dependents(id, lease.bucket) == 1
  else
    if ttl_s ~= 0 then add_result(id, 1, lease, now_us, ttl_s, "return_value", returned) end
    if repeats_left > 0 and fate ~= "cancelled" then
      is_awaited = repeat_job(lease, repeats_left, now_us, ttl_s)
    else
      -- a function that returned before it could be stopped has done its work; and RQ brings a
      -- child back that is cancelled while its parent ends
      lenient("ZREM", "rq:canceled:" .. queue, id)
      if ttl_s ~= 0 then lenient("ZADD", "rq:finished:" .. queue, registry_score(now_us, ttl_s), id) end
      is_awaited = end_job(id, queue, "finished", now_us, ttl_s, known)
    end
  end
end

-- 3. Leave the attempt, and tell.

ending.counted = status == "finished" and "successful_job_count" or "failed_job_count"
leave_attempt(lease, fate, ending)
count_end(entry)
if FAILED[status] and fate ~= "deleted" then note_failure(entry, ARGV[13], trace, keep_s) end
local numbers = try("HMGET", key, "mean_run_us", "max_running", "refused_us", "passed_slot_us") or {}
local run_us = math.max(0, now_us - lease.slot_us) -- how long a worker is taken: estimates need the mean
local mean_us = number(numbers[1]) or run_us
try("HSET", key, "mean_run_us", math.floor(mean_us + (run_us - mean_us) / 8))
if numbers[3] and (status == "finished" or status == "failed") then
  note_pass(lease, numbers[3], numbers[4], now_us)
end
if (number(numbers[2]) or 0) > 0 and waiting_in(queue_keys(lease.bucket)) > 0 then wake(lease.bucket) end
return { line, is_awaited and 1 or 0 }
