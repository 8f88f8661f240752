-- requires: times, bucket, clock, attempts, bucket_stats, job_end, result_log, job_moves, refusals, failures
-- rarely: heed_clock, end_unless_it_goes_on, note_failure, settle_budgets, ended_before, to_queue, to_delayed, note_pass, waiting_in, wake, utc_us, has_dependents
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
local used, noted = string.match(ARGV[14] or "", "^([^|]*)|?(.*)$")
local ending = { now_us = now_us, started = late_us or status == "finished", reported = used, noted = noted }

-- How long after its nth last run a job is to run again. Source: rq.repeat.Repeat.get_interval.
local function interval_s(nth_last, intervals)
  local readable, list = pcall(cjson.decode, intervals or "[0]")
  if not readable or type(list) ~= "table" then return 0 end
  return math.max(0, number(list[math.min(nth_last, #list)]) or 0)
end

-- The job finished, and is to run again.
local function repeat_job(lease, repeats_left, ttl_s)
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

-- Returns whether jobs wait for its end.
local function finish_job(lease, fate)
  local ttl_s = number(lease.known.result_ttl) or RQ_RESULT_TTL_S
  local repeats_left = number(lease.known.repeats_left) or 0
  if ttl_s ~= 0 then add_result(lease.job, 1, lease, now_us, ttl_s, "return_value", returned) end
  if repeats_left > 0 and fate ~= "cancelled" then return repeat_job(lease, repeats_left, ttl_s) end
  -- a function that returned before it could be stopped has done its work; and RQ brings a child
  -- back that is cancelled while its parent ends
  lenient("ZREM", "rq:canceled:" .. lease.queue, lease.job)
  if ttl_s ~= 0 then
    lenient("ZADD", "rq:finished:" .. lease.queue, registry_score(now_us, ttl_s), lease.job)
  end
  return end_job(lease.job, lease.queue, "finished", now_us, ttl_s, lease.known)
end

local function arrive(lease, fate)
  if fate == "deleted" then return end
  keep_progress(lease.job, progress)
  if used ~= "" then redis.call("HSET", RQ_JOB .. lease.job, "spigot_cost_actual", used) end
  if status == "finished" then return finish_job(lease, fate) end
  end_unless_it_goes_on(lease, status, now_us, keep_s, error, trace)
  return has_dependents(lease.job, lease.bucket) == 1
end

local function count_for_rq(lease)
  local worker = "rq:worker:" .. lease.worker
  try("HINCRBY", worker, status == "finished" and "successful_job_count" or "failed_job_count", 1)
  try("HINCRBYFLOAT", worker, "total_working_time", seconds(now_us - lease.slot_us))
end

-- The estimate needs how long a worker is taken by a job: the mean of recent ones.
local function learn_run_time(lease, mean_us)
  local run_us = math.max(0, now_us - lease.slot_us)
  mean_us = number(mean_us) or run_us
  try("HSET", bucket_key(lease.bucket), "mean_run_us", math.floor(mean_us + (run_us - mean_us) / 8))
end

local function wake_for_the_free_place(lease, max_running)
  if (number(max_running) or 0) > 0 and waiting_in(queue_keys(lease.bucket)) > 0 then wake(lease.bucket) end
end

local lease = read_lease(token)
if not lease then return ended_before(bucket, token) end
local fate = fate_of(lease)
if fate == "left" then
  leave_attempt(lease, fate, ending)
  return ended_before(bucket, token)
end

if status ~= "finished" and fate == "cancelled" then status = "cancelled" end
local entry = { now_us = now_us, job = lease.job, bucket = lease.bucket, type = type_name,
  status = status, attempt = lease.attempt, worker = lease.worker, slot_us = lease.slot_us,
  result = result, error = status ~= "finished" and error or nil, token = token, owner = lease.worker,
  late_us = late_us, known = lease.known }
local line = log_line(entry)
local is_awaited = arrive(lease, fate)
local is_shown = leave_attempt(lease, fate, ending)
count_end(entry)
if FAILED[status] and fate ~= "deleted" then note_failure(entry, ARGV[13], trace, keep_s) end
if is_shown then count_for_rq(lease) end
local known = try("HMGET", bucket_key(lease.bucket), "mean_run_us", "max_running", "refused_us", "passed_slot_us") or {}
learn_run_time(lease, known[1])
if known[3] and (status == "finished" or status == "failed") then note_pass(lease, known[3], known[4], now_us) end
wake_for_the_free_place(lease, known[2])
return { line, is_awaited and 1 or 0 }
