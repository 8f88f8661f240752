-- requires: times, bucket, settlements
--[[
Functions that know an attempt by its lease: whose it is, what became of its job, and how the job
leaves it.
]]
-- nil if there is no lease, or none that names its job. Other fields may have been lost.
local function read_lease(token)
  local known = lenient("HMGET", lease_key(token), "job", "bucket", "queue", "worker", "slot_us", "attempt",
    "pool", "budgets")
  if not known or not known[1] then return nil end
  local bucket = known[2] or bucket_of(known[3] or "default")
  return { token = token, job = known[1], bucket = bucket, queue = known[3] or bucket,
    worker = known[4] or "unknown", slot_us = number(known[5]) or 0, attempt = number(known[6]) or 0,
    pool = known[7], budgets = known[8] }
end

-- What became of the job of an attempt, and how often its worker or its process died before:
-- "left" (a script that failed half-way had moved it already), "deleted", "cancelled" (it does
-- not run again, whatever ends its attempt), or nil. `lease.known` then has the job's fields, as
-- far as its end needs them. Each job has `created_at`; its payload, `data`, may be long.
local function fate_of(lease)
  local key = RQ_JOB .. lease.job
  local values = lenient("HMGET", key, "created_at", "status", "spigot_stop", "spigot_token", "spigot_reaps",
    "spigot_suspicion", "spigot_type", "spigot_log", "spigot_enqueued_us", "result_ttl", "failure_ttl",
    "repeats_left", "dependency_id", "spigot_revision")
  if not values then return "deleted", 0 end
  if not values[1] then
    redis.call("DEL", key) -- fields that were set on the way here
    return "deleted", 0
  end
  local job = { status = values[2], spigot_stop = values[3], spigot_token = values[4], spigot_reaps = values[5],
    spigot_suspicion = values[6], spigot_type = values[7], spigot_log = values[8], spigot_enqueued_us = values[9],
    result_ttl = values[10], failure_ttl = values[11], repeats_left = values[12], dependency_id = values[13],
    spigot_revision = values[14] }
  lease.known = job
  local status, reaps = job.status, number(job.spigot_reaps) or 0
  if job.spigot_token ~= lease.token or status == "finished" or status == "failed" then
    return "left", reaps
  end
  return (job.spigot_stop or ENDED[status]) and "cancelled" or nil, reaps
end

local function is_cancelled(id)
  local job = lenient("HMGET", RQ_JOB .. id, "spigot_stop", "status") or {}
  return job[1] or job[2] == "canceled" or job[2] == "stopped"
end

-- A pool died, and nobody knows of which of its jobs: they share the suspicion, run again among few
-- others, and at 2 each alone, where a death is its own. A pool's parent seldom dies of a job.
local function suspect(id)
  local job = RQ_JOB .. id
  local suspicion = number(lenient("HGET", job, "spigot_suspicion")) or 0
  try("HSET", job, "spigot_suspicion", suspicion < 1 and 1 or math.min(2, suspicion + 0.5))
end

-- RQ shows that the worker is idle, if this was its job, and counts the job, if `ending.counted` says
-- as what. Nothing of that where RQ has no record of the worker.
local function leave_worker(lease, ending)
  local worker, counted = "rq:worker:" .. lease.worker, ending.counted
  local known = try("HMGET", worker, "current_job", "total_working_time", counted or "state") or {}
  local is_current, shown = known[1] == lease.job, {}
  if is_current then
    try("HDEL", worker, "current_job")
    shown = { "state", "idle" }
  end
  if counted and (is_current or try("EXISTS", worker) == 1) then
    shown[#shown + 1], shown[#shown + 2] = counted, (number(known[3]) or 0) + 1
    local worked_us = (number(known[2]) or 0) * SECOND_US + ending.now_us - lease.slot_us
    shown[#shown + 1], shown[#shown + 2] = "total_working_time", worked_us / SECOND_US
  end
  if #shown > 0 then try("HSET", worker, unpack(shown)) end
end

-- The job leaves its attempt: from now on the lease does not count. It goes before its entry, by
-- which it would be found again. `ending` says how its budgets are settled (settlements.lua).
local function leave_attempt(lease, fate, ending)
  if fate ~= "deleted" then redis.call("HDEL", RQ_JOB .. lease.job, "spigot_token") end
  local entry = lease.job .. ":" .. lease.token
  -- earlier versions kept what RQ calls an execution
  if try("DEL", lease_key(lease.token), "rq:executions:" .. lease.job, "rq:execution:" .. entry) then
    try("ZREM", bucket_key(lease.bucket) .. ":leases", lease.token)
    if lease.budgets then settle_budgets(lease, ending) end
  end
  try("ZREM", "rq:wip:" .. lease.queue, entry)
  leave_worker(lease, ending)
end

-- The function's last word, which it may not have had time to have written.
local function keep_progress(id, progress)
  if progress ~= "" then redis.call("HSET", RQ_JOB .. id, "spigot_progress", progress) end
end

-- The answer to a worker that did not get the first one: its line, if it is still to be logged.
local function ended_before(bucket, token)
  local kept = lenient("HGET", bucket_key(bucket) .. ":unlogged", token)
  local line = kept and string.match(kept, "^[^\n]*\n(.*)$")
  return line and { line, 1 } or {}
end

-- RQ's record of a worker ends by itself when the worker is not seen.
local function seen_by_rq(worker, now_us, ttl_s)
  local key = "rq:worker:" .. worker
  if try("EXISTS", key) ~= 1 then return end
  try("HSET", key, "last_heartbeat", utc_text(now_us))
  try("EXPIRE", key, ttl_s)
end

local function note_alive(name, worker, now_us, alive_ms, concurrency, rq_ttl_s)
  lenient("ZADD", bucket_key(name) .. ":workers", ms(now_us) + alive_ms, worker)
  if concurrency > 1 then lenient("HSET", bucket_key(name) .. ":concurrency", worker, concurrency) end
  seen_by_rq(worker, now_us, rq_ttl_s)
end
