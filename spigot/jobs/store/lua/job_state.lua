-- requires: times, bucket, delayed, places, workers, estimates
--[[
Functions that say where a job is: `describe` gives what clients are told of it.
]]
local function position_of(bucket_name, queue_name, job_id, place)
  local index = index_of(queue_name, job_id, place)
  if not index then return nil end
  local position, before = jobs_before(queue_name, index) + 1, {}
  for _, list in ipairs(queue_keys(bucket_name)) do
    if list == RQ_QUEUE .. queue_name then break end
    before[#before + 1] = list
  end
  return position + waiting_in(before)
end

-- How many jobs the workers of a bucket run at once, and how many of these places are free; kept for
-- the script's next job.
local function read_places(bucket, now_us)
  local _, places = living_workers(bucket.name, now_us)
  if bucket.max_running > 0 then places = math.min(places, bucket.max_running) end
  bucket.places, bucket.free = places, 0
  if places == 0 then return end
  local running = tonumber(redis.pcall("ZCARD", bucket_key(bucket.name) .. ":leases")) or 0
  bucket.free = math.max(0, places - running)
end

-- When the job at `position` should start: the latest of its slot, of what the workers allow, who are the
-- narrower place if a job runs longer than their number of intervals, and of what budgets allow; 0 if
-- nobody can tell. `cost` is the job's own, as its hash has it.
local function start_of(bucket, now_us, position, cost)
  local start_us = slot_of(bucket, now_us, position)
  if bucket.runs or now_us + position * bucket.mean_run_us > start_us then -- one worker would not do
    if not bucket.places then read_places(bucket, now_us) end
    local places, before = bucket.places, math.max(0, position - bucket.free)
    if places > 0 and before > 0 then
      local wait_us = bucket.runs and bucket.wait(bucket.runs, before, places) or before * bucket.mean_run_us / places
      start_us = math.max(start_us, now_us + math.ceil(wait_us))
    end
  end
  if not bucket.budgets then return start_us end
  local by_budgets_us = start_by_budgets(bucket, now_us, position, cost)
  return by_budgets_us and math.max(start_us, by_budgets_us) or 0
end

-- When a delayed job is due, nil if that depends on another job. It is earlier than its hash says
-- after the clock was set back. RQ keeps the time in seconds.
local function due_of(job_id, job)
  local due_us = number(job.spigot_due_us)
  if due_us then
    local name = bucket_of(job.origin)
    local score = number(lenient("ZSCORE", bucket_key(name) .. ":delayed", job_id))
    return score and math.min(due_us, due_ms_of(name, score) * 1000) or due_us
  end
  local due_s = lenient("ZSCORE", "rq:scheduled:" .. job.origin, job_id)
  return due_s and math.floor(tonumber(due_s) * SECOND_US)
end

local SHOWN = { "status", "origin", "spigot_type", "spigot_place", "spigot_due_us", "spigot_attempts",
  "enqueued_at", "started_at", "ended_at", "spigot_progress", "spigot_error", "spigot_revision" }

-- Returns the fields that are shown, by name, and as alternating name and value; none if there is no
-- such job. The payload, `data`, is read of a job of plain RQ only: it names the function.
local function read_shown(job_id)
  local job, flat = {}, {}
  for i, value in ipairs(lenient("HMGET", RQ_JOB .. job_id, unpack(SHOWN)) or {}) do
    job[SHOWN[i]] = value or nil
  end
  if (job.spigot_type or "") == "" then
    job.data = lenient("HGET", RQ_JOB .. job_id, "data") or nil
    if not job.data then return {}, {} end
  end
  for name, value in pairs(job) do
    flat[#flat + 1] = name
    flat[#flat + 1] = value
  end
  return job, flat
end

-- {word, now_us, position or 0, start_us or 0, alternating name and value of what is shown of the
-- job's hash, last result or {}}. `reckon` and `wait`, as running_times.lua has them, say how long jobs
-- hold their places; without them, as long as past ones did.
local function describe(job_id, now_us, word, reckon, wait)
  local job, fields = read_shown(job_id)
  local position, start_us = 0, 0
  if job.status == "queued" and job.origin then
    local bucket = read_bucket(bucket_of(job.origin))
    position = position_of(bucket_of(job.origin), job.origin, job_id, number(job.spigot_place)) or 0
    if bucket and bucket.paused ~= 1 and position > 0 then
      if reckon then
        bucket.runs, bucket.wait = reckon(bucket.name, bucket.mean_run_us, now_us), wait
        bucket.mean_run_us = bucket.runs.mean_us
      end
      local cost = bucket.budgets and lenient("HGET", RQ_JOB .. job_id, "spigot_cost") or nil
      start_us = start_of(bucket, now_us, position, cost)
    end
  elseif job.status == "scheduled" and job.origin then
    start_us = due_of(job_id, job) or 0
  end
  local results = lenient("XREVRANGE", "rq:results:" .. job_id, "+", "-", "COUNT", 1) or {}
  return { word, now_us, position, start_us, fields, results[1] and results[1][2] or {} }
end

-- What is answered for a job that may have been made before, by its chosen id or the key of its
-- request: {"exists", what `describe` returns}; {"same", job id, what `describe` says of that job}, or
-- {"conflict"} if the request was another; nil for a new one.
local function known_answer(id, idempotency, fingerprint, is_chosen, now_us)
  if is_chosen and redis.call("EXISTS", RQ_JOB .. id) == 1 then
    return { "exists", describe(id, now_us, "state") }
  end
  if idempotency == "" then return nil end
  local first = redis.call("HMGET", idempotency, "fingerprint", "job")
  -- a job that was deleted since is to be done again
  if not first[1] or redis.call("HEXISTS", RQ_JOB .. first[2], "data") == 0 then return nil end
  if first[1] ~= fingerprint then return { "conflict" } end
  return { "same", first[2], describe(first[2], now_us, "state") }
end
