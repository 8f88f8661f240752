-- requires: times, bucket, attempts, bucket_stats, job_end, repeats, result_log, refusals, failures
-- rarely: utc_text, try, lenient, queue_keys, waiting_in, wake, read_lease, fate_of, leave_attempt, ended_before, log_line, keep_progress, has_dependents, end_unless_it_goes_on, add_result, repeat_job, registry_score, end_job, end_bounds, count_end, note_failure, note_pass
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

What the worker knows from its claim, if that shows nothing unusual (known_claim.py); else nothing:

ARGV[15] job        id
ARGV[16] queue      name
ARGV[17] worker     name
ARGV[18] slot_us    Unix time
ARGV[19] slot       the same in seconds
ARGV[20] minute     in which it lies, as RQ writes times
ARGV[21] head       of the line for the result log, from after its time to before its run time
ARGV[22] log        what the type wants logged, JSON

Returns {line for the result log, 1 if jobs depend on this one else 0}, the same again when it
is called again before the line is logged, or {} if the lease is gone: then nothing was changed
Source: rq.worker.BaseWorker.handle_job_success and handle_job_failure, rq.repeat.Repeat.schedule,
RQ 2.12.
]]
local token, status, result, returned, bucket = ARGV[1], ARGV[2], ARGV[4], ARGV[5], ARGV[9]
local now_us, late_us, id, queue = clock_us(ARGV[11]), tonumber(ARGV[12]), ARGV[15], ARGV[16]
local key = bucket_key(bucket)

-- 1. The usual end: a function returned, and its job is as it was claimed, which the token proves.
-- Each command is written out, as each call of a function costs time.

local job_key = RQ_JOB .. (id or "")
local job = id and status == "finished" and redis.pcall("HMGET", job_key, "spigot_token", "status", "spigot_stop",
  "result_ttl", "spigot_revision") or {}
local ttl_s = number(job[4]) or 0
if job[1] == token and job[2] == "started" and not job[3] and ttl_s > 0
  and redis.call("EXISTS", job_key .. ":dependents") == 0 then
  local worker, type_name, slot_us = ARGV[17], ARGV[3], tonumber(ARGV[18])
  local run_us, now_text = math.max(0, now_us - slot_us), utc_text_beside(now_us, slot_us, ARGV[20])

  -- arrive, as in job_moves.lua
  local line = '{"time":"' .. now_text .. ARGV[21] .. string.format("%.6f", run_us / SECOND_US)
    .. ',"slot_at":' .. ARGV[19] .. ',"result":' .. result .. ',"log":' .. ARGV[22] .. "}"
  local unlogged, kept = key .. ":unlogged", worker .. "\n" .. line
  if type(redis.pcall("HSET", unlogged, token, kept)) == "table" then lenient("HSET", unlogged, token, kept) end
  local results, now_s, added = "rq:results:" .. id, string.format("%.6f", now_us / SECOND_US), nil
  if returned == "" then
    added = redis.pcall("XADD", RESULT_DRAFT, "*", "type", "1", "worker_name", worker, "execution_id", token,
      "execution_started_at", ARGV[19], "execution_ended_at", now_s)
  else
    added = redis.pcall("XADD", RESULT_DRAFT, "*", "type", "1", "worker_name", worker, "execution_id", token,
      "execution_started_at", ARGV[19], "execution_ended_at", now_s, "return_value", returned)
  end
  local copied = type(added) == "string" and redis.pcall("COPY", RESULT_DRAFT, results)
  if copied then redis.call("DEL", RESULT_DRAFT) end
  if copied == 1 then
    redis.call("EXPIRE", results, job[4])
  else
    add_result(id, 1, { worker = worker, token = token, slot_us = slot_us }, now_us, ttl_s, "return_value", returned)
  end
  local finished, until_s = "rq:finished:" .. queue, (now_us + ttl_s * SECOND_US) / SECOND_US
  if type(redis.pcall("ZADD", finished, until_s, id)) == "table" then lenient("ZADD", finished, until_s, id) end
  if ARGV[10] ~= "" then redis.call("HSET", job_key, "spigot_progress", ARGV[10]) end
  redis.call("EXPIRE", job_key, job[4])
  redis.call("HSET", job_key, "status", "finished", "ended_at", now_text, "spigot_revision", (number(job[5]) or 0) + 1)
  redis.pcall("PUBLISH", EVENTS, id)

  -- leave
  redis.call("HDEL", job_key, "spigot_token")
  if type(redis.pcall("DEL", KEYS[1])) == "number" then redis.pcall("ZREM", key .. ":leases", token) end
  redis.pcall("ZREM", "rq:wip:" .. queue, id .. ":" .. token)

  -- tell
  local record, stats = "rq:worker:" .. worker, key .. ":stats"
  local shown = redis.pcall("HMGET", record, "current_job", "total_working_time", "successful_job_count")
  local ended = (number(shown[3]) or 0) + 1
  local worked_s = ((number(shown[2]) or 0) * SECOND_US + now_us - slot_us) / SECOND_US
  if shown[1] == id then
    redis.pcall("HDEL", record, "current_job")
    redis.pcall("HSET", record, "state", "idle", "successful_job_count", ended, "total_working_time", worked_s)
  elseif shown[1] or redis.pcall("EXISTS", record) == 1 then
    redis.pcall("HSET", record, "successful_job_count", ended, "total_working_time", worked_s)
  end
  redis.pcall("HINCRBY", stats, "finished:" .. type_name, "1")
  if late_us then
    local late, run = end_bounds(late_us, run_us)
    local run_counts = "run:" .. type_name .. ":"
    redis.pcall("HINCRBY", stats, "late::" .. late, "1")
    redis.pcall("HINCRBY", stats, "late::sum_us", ARGV[12])
    redis.pcall("HINCRBY", stats, run_counts .. run, "1")
    redis.pcall("HINCRBY", stats, run_counts .. "sum_us", run_us)
  end
  local numbers = redis.pcall("HMGET", key, "mean_run_us", "max_running", "refused_us")
  local mean_us = number(numbers[1]) or run_us
  redis.pcall("HSET", key, "mean_run_us", math.floor(mean_us + (run_us - mean_us) / 8))
  if numbers[3] then note_pass({ bucket = bucket, job = id, slot_us = slot_us }, now_us) end
  if (number(numbers[2]) or 0) > 0 and waiting_in(queue_keys(bucket)) > 0 then wake(bucket) end
  return { line, 0 }
end

-- 2. Any other end: decide whether the attempt is still to be ended, and how.

local type_name, error, trace, keep_s, progress = ARGV[3], ARGV[6], ARGV[7], tonumber(ARGV[8]), ARGV[10]
local used, noted = ARGV[14] or "", ""
if used ~= "" then used, noted = string.match(used, "^([^|]*)|?(.*)$") end
local lease = read_lease(token)
if not lease then return ended_before(bucket, token) end
local ending = { now_us = now_us, started = late_us or status == "finished", reported = used, noted = noted }
local fate = fate_of(lease)
if fate == "left" then
  leave_attempt(lease, fate, ending)
  return ended_before(bucket, token)
end
if status ~= "finished" and fate == "cancelled" then status = "cancelled" end
id, queue, key = lease.job, lease.queue, bucket_key(lease.bucket)
local known = lease.known

-- 3. Arrive: a line for the log, the result, the job's last state.

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

-- 4. Leave the attempt, and tell.

ending.counted = status == "finished" and "successful_job_count" or "failed_job_count"
leave_attempt(lease, fate, ending)
count_end(entry)
if (status == "failed" or status == "refused") and fate ~= "deleted" then note_failure(entry, ARGV[13], trace, keep_s) end
local numbers = try("HMGET", key, "mean_run_us", "max_running", "refused_us") or {}
local run_us = math.max(0, now_us - lease.slot_us) -- how long a worker is taken: estimates need the mean
local mean_us = number(numbers[1]) or run_us
try("HSET", key, "mean_run_us", math.floor(mean_us + (run_us - mean_us) / 8))
if numbers[3] and (status == "finished" or status == "failed") then
  note_pass(lease, now_us)
end
if (number(numbers[2]) or 0) > 0 and waiting_in(queue_keys(lease.bucket)) > 0 then wake(lease.bucket) end
return { line, is_awaited and 1 or 0 }
