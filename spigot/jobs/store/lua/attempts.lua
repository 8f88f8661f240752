-- requires: times, bucket, settlements
--[[
Functions that know an attempt by its lease: whose it is, what became of its job, and how the job
leaves it.
]]
-- nil if there is no lease, or none that names its job. Other fields may have been lost.
local function read_lease(token)
  local names = { "job", "bucket", "queue", "worker", "slot_us", "attempt", "pool", "budgets" }
  local values = lenient("HMGET", lease_key(token), unpack(names))
  if not values or not values[1] then return nil end
  local lease = { token = token }
  for i, field in ipairs(names) do lease[field] = values[i] or nil end
  lease.bucket = lease.bucket or bucket_of(lease.queue or "default")
  lease.queue, lease.worker = lease.queue or lease.bucket, lease.worker or "unknown"
  lease.slot_us, lease.attempt = number(lease.slot_us) or 0, number(lease.attempt) or 0
  return lease
end

-- All that is read of a job when its attempt ends, at once.
local ENDS_BY = { "data", "status", "spigot_stop", "spigot_token", "spigot_reaps", "spigot_suspicion",
  "spigot_type", "spigot_log", "spigot_enqueued_us", "enqueued_at", "description", "spigot_attempts",
  "result_ttl", "failure_ttl", "repeats_left", "dependency_id", "spigot_revision" }

local function ends_by(values)
  local job = {}
  for i = 1, #ENDS_BY do job[ENDS_BY[i]] = values[i] or nil end
  return job
end

-- What became of the job of an attempt, and how often its worker or its process died before:
-- "left" (a script that failed half-way had moved it already), "deleted", "cancelled" (it does
-- not run again, whatever ends its attempt), or nil. `lease.known` then has the job's fields.
local function fate_of(lease)
  local key = RQ_JOB .. lease.job
  local values = lenient("HMGET", key, unpack(ENDS_BY))
  if not values then return "deleted", 0 end
  if not values[1] then
    redis.call("DEL", key) -- fields that were set on the way here
    return "deleted", 0
  end
  local job = ends_by(values)
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

-- The job leaves its attempt: from now on the lease does not count. It goes before its entry, by
-- which it would be found again. Returns whether RQ's record of the worker is there. `ending` says how its budgets are settled (settlements.lua).
local function leave_attempt(lease, fate, ending)
  if fate ~= "deleted" then redis.call("HDEL", RQ_JOB .. lease.job, "spigot_token") end
  local executions = "rq:executions:" .. lease.job -- of attempts that an earlier version started
  if try("DEL", lease_key(lease.token), executions, "rq:execution:" .. lease.job .. ":" .. lease.token) then
    try("ZREM", bucket_key(lease.bucket) .. ":leases", lease.token)
    if lease.budgets then settle_budgets(lease, ending) end
  end
  try("ZREM", "rq:wip:" .. lease.queue, lease.job .. ":" .. lease.token)
  local worker = "rq:worker:" .. lease.worker
  if try("HGET", worker, "current_job") == lease.job then
    try("HDEL", worker, "current_job")
    try("HSET", worker, "state", "idle")
    return true
  end
  return try("EXISTS", worker) == 1
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

local FRESH_MS = 9000 -- a sign of life that is not older is not renewed

-- Of the ms until which a worker counts as alive, which is alive_ms after its last sign of life.
local function is_fresh(until_ms, now_us, alive_ms)
  local age_ms = ms(now_us) + alive_ms - (number(until_ms) or 0)
  return age_ms >= 0 and age_ms < FRESH_MS
end

local function note_alive(name, worker, now_us, alive_ms, concurrency, rq_ttl_s)
  lenient("ZADD", bucket_key(name) .. ":workers", ms(now_us) + alive_ms, worker)
  if concurrency > 1 then lenient("HSET", bucket_key(name) .. ":concurrency", worker, concurrency) end
  seen_by_rq(worker, now_us, rq_ttl_s)
end
