-- requires: times, bucket, clock, attempts, bucket_stats, job_end, result_log, job_moves, refusals, failures
--[[
End an attempt whose job is to run again: at once from the head of its queue, or later; or not
at all, if the job was cancelled or deleted meanwhile.

KEYS[1] lease       hash; no key means that the attempt was given to somebody else

ARGV[1] token       of the attempt
ARGV[2] status      for the result log: rate_limited, retrying, reaped, or "" for no line
ARGV[3] type        name for the result log
ARGV[4] error       one line: why
ARGV[5] hold_us     if rate_limited, how long the whole bucket waits from now on
ARGV[6] delay_us    how long the job waits, 0 or more; "" puts it at the head of its queue
ARGV[7] trace       traceback as RQ keeps it, for RQ's list of results; "" for none
ARGV[8] max_reaps   if >= 1, this counts as a reap and the job is abandoned when it was reaped
                    that often; 0 does not count
ARGV[9] bucket      name
ARGV[10] keep_s     how long a cancelled job is kept, >= 1
ARGV[11] progress   JSON of what the function reported last; "" for none
ARGV[12] now_us     Unix time, or "" for the clock of Redis (only tests pass it)
ARGV[13] late_us    how long after its slot the function was called; "" if it was not
ARGV[14] kind       if rate_limited: wait or quota
ARGV[15] stated     1 if the downstream said how long, else 0
ARGV[16] max_refusals  how often a job may be refused while others of its bucket pass, >= 1
ARGV[17] suspicion  of having ended its pool, 1 or 2; "" leaves it as it is
ARGV[18] told       what it said that it used of each budget, as budgets.lua reads amounts, "|", and
                    what its downstream said of its limits, as upstream_limits.lua reads it

Returns {line for the result log or "", 1 if jobs depend on this one else 0}, the same again
when it is called again before the line is logged, or {} if the lease is gone: then nothing was
changed
]]
local token, status, type_name, error = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local hold_us, delay_us, trace = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local max_reaps, bucket, keep_s = tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10])
local progress, now_us, late_us = ARGV[11], clock_us(ARGV[12]), tonumber(ARGV[13])
local suspicion = tonumber(ARGV[17])
local refusal = { kind = ARGV[14], wait_us = hold_us, stated = ARGV[15] == "1", reason = error,
  max = tonumber(ARGV[16]) }
local used, noted = string.match(ARGV[18] or "", "^([^|]*)|?(.*)$")
local ending = { now_us = now_us, started = late_us ~= nil, reported = used, noted = noted }

local function judge(lease, fate, reaps)
  if fate and status == "rate_limited" then hold_for(lease, refusal, now_us) end
  if fate then return end_by(fate, error) end
  if max_reaps > 0 and reaps + 1 >= max_reaps then
    return "abandoned", "Abandoned: cut off " .. max_reaps .. " times, at last: " .. error
  end
  if status ~= "rate_limited" then return status, error end
  refusal.judged = judge_refusal(lease, refusal, now_us)
  if refusal.judged.follows == "refused" then
    return "refused", "Refused " .. refusal.max .. " times, while other jobs passed, at last: " .. error
  end
  if refusal.judged.follows == "set_back" then delay_us = 0 end
  return status, error
end

local function go_back(lease)
  if not delay_us then
    local judged = refusal.judged or {}
    to_head(lease.job, lease.queue, judged.first_slot_us or lease.slot_us)
  elseif delay_us > 0 then
    to_delayed(lease.job, lease.queue, now_us + delay_us)
  else
    to_queue(lease.job, lease.queue)
  end
end

local function arrive(lease, fate)
  if fate == "deleted" then return end
  keep_progress(lease.job, progress)
  if used ~= "" then redis.call("HSET", RQ_JOB .. lease.job, "spigot_cost_actual", used) end
  if not end_unless_it_goes_on(lease, status, now_us, keep_s, error, trace) then go_back(lease) end
end

-- After the move: what is done again when a script failed half-way must not count again.
local function count_retry(lease)
  local job = RQ_JOB .. lease.job
  local ttl_s = number(try("HGET", job, "failure_ttl")) or RQ_FAILURE_TTL_S
  add_result(lease.job, 4, lease, now_us, ttl_s, "exc_string", trace)
  try("HSET", job, "spigot_error", error)
  add(job, "number_of_retries", 1)
  local left = number(try("HGET", job, "retries_left"))
  if left and left > 0 then try("HSET", job, "retries_left", left - 1) end
end

local function count_attempt(lease)
  local job = RQ_JOB .. lease.job
  if status == "" then try("HSET", job, "spigot_attempts", lease.attempt - 1) end
  if status == "retrying" then
    count_retry(lease)
    note_pass(lease, now_us)
  end
  if refusal.judged then count_refusal(lease, refusal.judged, now_us) end
  if status == "reaped" and max_reaps > 0 then add(job, "spigot_reaps", 1) end
  if suspicion then try("HSET", job, "spigot_suspicion", suspicion) end
end

local lease = read_lease(token)
if not lease then return ended_before(bucket, token) end
local fate, reaps = fate_of(lease)
if fate == "left" then
  leave_attempt(lease, fate, ending)
  return ended_before(bucket, token)
end

if delay_us or status == "rate_limited" then heed_clock(bucket, now_us) end
status, error = judge(lease, fate, reaps)
local entry = { now_us = now_us, job = lease.job, bucket = lease.bucket, type = type_name,
  status = status, attempt = lease.attempt, worker = lease.worker, slot_us = lease.slot_us,
  error = error, token = token, owner = lease.worker, late_us = late_us, known = lease.known }
local line = status ~= "" and log_line(entry) or ""
arrive(lease, fate)
leave_attempt(lease, fate, ending)
if status ~= "" then count_end(entry) end
if FAILED[status] then note_failure(entry, "", trace, keep_s) end
if not fate and status ~= "abandoned" and status ~= "refused" then
  count_attempt(lease)
  wake(bucket) -- there may be a job to start before the poller's next look
end
return { line, has_dependents(lease.job, bucket) }
