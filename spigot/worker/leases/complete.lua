-- requires: times, bucket, bucket_stats, job_end, refusals, other_ends
-- rarely: utc_text, lenient, queue_keys, waiting_in, wake, add_result, note_pass, end_otherwise
--[[
End attempts whose functions were run, and with them their jobs: finished, failed or cancelled.

KEYS[i] lease       of the ith of n attempts; hash; no key means that it was given to somebody else

ARGV[1] bucket      name
ARGV[2] worker      name
ARGV[3] keep_s      how long a cancelled job is kept, >= 1
ARGV[4] now_us      Unix time, or "" for the clock of Redis (only tests pass it)
ARGV[5] status      finished, failed, cancelled, or refused: failed, because its downstream will
                    never serve it
ARGV[6] type        name for the result log: the job type's, or the function's
ARGV[7] queue       name, if the worker knows the jobs from its claims, and these show nothing
                    unusual (known_claim.py); else ""

Then the n tokens, all different; the n entries "id:token" of RQ's list of what is running, "" without
queue; and 10 for each attempt:

1  result           JSON of what the function returned; "" unless finished
2  returned         the same as RQ keeps it (base64); "" for None
3  progress         JSON of what the function reported last; "" for none
4  late_us          how long after its slot the function was called; "" if it was not

with queue:

5  job              id
6  slot_us          Unix time
7  slot             the same in seconds
8  minute           in which it lies, as RQ writes times
9  head             of the line for the result log, from after its time to before its run time
10 log              what the type wants logged, JSON

without:

5  error            one line; "" if finished
6  trace            traceback as RQ keeps it (base64 of zlib); "" if finished
7  place            where the application raised the error; "" if finished, or if it raised none
8  told             what it said that it used of each budget, as budgets.lua reads amounts, "|", and
                    what its downstream said of its limits, as upstream_limits.lua reads it

Returns for each attempt {line for the result log, 1 if jobs depend on its job else 0}, the same again
when it is called again before the line is logged, or {} if the lease is gone: then nothing was changed.
One run leaves what a run for each of them leaves. If it fails, some may have ended.
Source: rq.worker.BaseWorker.handle_job_success and handle_job_failure, rq.repeat.Repeat.schedule,
RQ 2.12.
]]
local bucket, worker, now_us, type_name, queue = ARGV[1], ARGV[2], clock_us(ARGV[4]), ARGV[6], ARGV[7]
local key, answers, n, most = bucket_key(bucket), {}, 1, #KEYS
local TOKENS, ENTRIES, WIDTH = 7, 7 + most, 10 -- where they lie in ARGV
local ROWS = ENTRIES + most - WIDTH
local unlogged, finished, record = key .. ":unlogged", "rq:finished:" .. queue, "rq:worker:" .. worker
local now_s, now_text

local is_known, is_one_awaited = queue ~= "", false
if is_known then
  local dependents = {}
  for i = 1, most do dependents[i] = RQ_JOB .. ARGV[ROWS + WIDTH * i + 5] .. ":dependents" end
  is_one_awaited = redis.call("EXISTS", unpack(dependents)) > 0
end

while n <= most do

  -- 1. Usual ends, until one is not: a function returned, and its job is as it was claimed, which the
  -- token proves. Each command is written out, as each call of a function costs time.

  local first, shown, numbers = n, nil, nil
  local is_current, worked_s, mean_us, late_sum_us, run_sum_us, lates, runs = false, 0, nil, nil, 0, {}, {}
  while is_known and n <= most do
    local token, row = ARGV[TOKENS + n], ROWS + WIDTH * n
    local id, slot_us, slot = ARGV[row + 5], tonumber(ARGV[row + 6]), ARGV[row + 7]
    local job_key = RQ_JOB .. id
    local job = redis.pcall("HMGET", job_key, "spigot_token", "status", "spigot_stop", "result_ttl",
      "spigot_revision")
    local ttl_s = number(job[4]) or 0
    if job[1] ~= token or job[2] ~= "started" or job[3] or ttl_s <= 0
      or is_one_awaited and redis.call("EXISTS", job_key .. ":dependents") == 1 then break end
    local ran_us, returned, progress, late_us = now_us - slot_us, ARGV[row + 2], ARGV[row + 3], ARGV[row + 4]
    local run_us = math.max(0, ran_us)
    now_s = now_s or string.format("%d.%06d", now_us / SECOND_US, now_us % SECOND_US)
    now_text = now_text or utc_text_beside(now_us, slot_us, ARGV[row + 8])

    -- arrive, as in job_moves.lua
    local line = '{"time":"' .. now_text .. ARGV[row + 9]
      .. string.format("%d.%06d", run_us / SECOND_US, run_us % SECOND_US) .. ',"slot_at":' .. slot
      .. ',"result":' .. ARGV[row + 1] .. ',"log":' .. ARGV[row + 10] .. "}"
    local kept = worker .. "\n" .. line
    if type(redis.pcall("HSET", unlogged, token, kept)) == "table" then lenient("HSET", unlogged, token, kept) end
    local results, added = "rq:results:" .. id, nil
    if returned == "" then
      added = redis.pcall("XADD", RESULT_DRAFT, "*", "type", "1", "worker_name", worker, "execution_id", token,
        "execution_started_at", slot, "execution_ended_at", now_s)
    else
      added = redis.pcall("XADD", RESULT_DRAFT, "*", "type", "1", "worker_name", worker, "execution_id", token,
        "execution_started_at", slot, "execution_ended_at", now_s, "return_value", returned)
    end
    local copied = type(added) == "string" and redis.pcall("COPY", RESULT_DRAFT, results)
    if copied then redis.call("DEL", RESULT_DRAFT) end
    if copied == 1 then
      redis.call("EXPIRE", results, job[4])
    else
      add_result(id, 1, { worker = worker, token = token, slot_us = slot_us }, now_us, ttl_s, "return_value", returned)
    end
    local until_s = (now_us + ttl_s * SECOND_US) / SECOND_US
    if type(redis.pcall("ZADD", finished, until_s, id)) == "table" then lenient("ZADD", finished, until_s, id) end
    if progress ~= "" then redis.call("HSET", job_key, "spigot_progress", progress) end
    redis.call("EXPIRE", job_key, job[4])
    redis.call("HSET", job_key, "status", "finished", "ended_at", now_text, "spigot_revision", (number(job[5]) or 0) + 1)
    redis.pcall("PUBLISH", EVENTS, id)

    -- leave: the lease follows below, with those of the others
    redis.call("HDEL", job_key, "spigot_token")

    -- add to what is told
    if not shown then
      shown = redis.pcall("HMGET", record, "current_job", "total_working_time", "successful_job_count")
      numbers = redis.pcall("HMGET", key, "mean_run_us", "max_running", "refused_us")
      worked_s, mean_us = number(shown[2]) or 0, number(numbers[1]) or run_us
    end
    is_current = is_current or shown[1] == id
    worked_s = (worked_s * SECOND_US + ran_us) / SECOND_US
    mean_us = math.floor(mean_us + (run_us - mean_us) / 8)
    if late_us ~= "" then
      local late, run = end_bounds(tonumber(late_us), run_us)
      lates[late] = lates[late] and lates[late] + 1 or "1" -- Redis 7.0 writes numbers slowly
      runs[run] = runs[run] and runs[run] + 1 or "1"
      late_sum_us, run_sum_us = late_sum_us and late_sum_us + late_us or late_us, run_sum_us + run_us
    end
    answers[n] = { line, 0 }
    n = n + 1
  end

  -- 2. What they share.

  if n > first then
    local ended, stats, run_counts = n - first, key .. ":stats", "run:" .. type_name .. ":"
    if type(redis.pcall("DEL", unpack(KEYS, first, n - 1))) == "number" then
      redis.pcall("ZREM", key .. ":leases", unpack(ARGV, TOKENS + first, TOKENS + n - 1))
    end
    redis.pcall("ZREM", "rq:wip:" .. queue, unpack(ARGV, ENTRIES + first, ENTRIES + n - 1))
    local done = (number(shown[3]) or 0) + ended
    if is_current then
      redis.pcall("HDEL", record, "current_job")
      redis.pcall("HSET", record, "state", "idle", "successful_job_count", done, "total_working_time", worked_s)
    elseif shown[1] or redis.pcall("EXISTS", record) == 1 then
      redis.pcall("HSET", record, "successful_job_count", done, "total_working_time", worked_s)
    end
    redis.pcall("HINCRBY", stats, "finished:" .. type_name, ended)
    if late_sum_us then
      for late, times in pairs(lates) do redis.pcall("HINCRBY", stats, "late::" .. late, times) end
      redis.pcall("HINCRBY", stats, "late::sum_us", late_sum_us)
      for run, times in pairs(runs) do redis.pcall("HINCRBY", stats, run_counts .. run, times) end
      redis.pcall("HINCRBY", stats, run_counts .. "sum_us", run_sum_us)
    end
    -- the mean, passes after refusals and the wake-up as `tell_bucket` in other_ends.lua tells them
    redis.pcall("HSET", key, "mean_run_us", mean_us)
    for i = first, numbers[3] and n - 1 or 0 do
      local row = ROWS + WIDTH * i
      note_pass({ bucket = bucket, job = ARGV[row + 5], slot_us = tonumber(ARGV[row + 6]) }, now_us)
    end
    if (number(numbers[2]) or 0) > 0 and waiting_in(queue_keys(bucket)) > 0 then wake(bucket) end
  end

  -- 3. The end that is not usual.

  if n <= most then
    local row = ROWS + WIDTH * n
    local told = { token = ARGV[TOKENS + n], status = ARGV[5], type = type_name, bucket = bucket, keep_s = ARGV[3],
      now_us = now_us, result = ARGV[row + 1], returned = ARGV[row + 2], progress = ARGV[row + 3],
      late_us = ARGV[row + 4], error = "", trace = "", place = "", told = "" }
    if not is_known then
      told.error, told.trace, told.place, told.told = unpack(ARGV, row + 5, row + 8)
    end
    answers[n] = end_otherwise(told)
    n = n + 1
  end
end
return answers
