-- requires: times, bucket
--[[
Functions that end a job: its status, its result as RQ keeps it, how long it is kept, and those that
depend on it.
]]
local function keep(key, ttl_s)
  if ttl_s > 0 then redis.call("EXPIRE", key, ttl_s) end
end

local function registry_score(now_us, ttl_s)
  return ttl_s < 0 and "+inf" or seconds(now_us + ttl_s * SECOND_US)
end

-- The server gives the first entry of a stream 4 KB, whatever is in it, but a copy of the stream
-- only what it needs. False if nothing was added: the stream exists, or its user may not copy.
local RESULT_DRAFT = "spigot:1:result_draft"

local function add_first_result(stream, entry)
  if not lenient("XADD", RESULT_DRAFT, "*", unpack(entry)) then return false end
  local copied = redis.pcall("COPY", RESULT_DRAFT, stream)
  redis.call("DEL", RESULT_DRAFT)
  return copied == 1
end

-- Adds to the stream that RQ reads results from. `kind` is an rq.results.Result.Type.
local function add_result(id, kind, lease, now_us, ttl_s, field, value)
  local stream = "rq:results:" .. id
  local entry = { "type", kind, "worker_name", lease.worker, "execution_id", lease.token,
    "execution_started_at", seconds(lease.slot_us), "execution_ended_at", seconds(now_us) }
  if value and value ~= "" then
    entry[#entry + 1] = field
    entry[#entry + 1] = value
  end
  if add_first_result(stream, entry) or lenient("XADD", stream, "MAXLEN", 10, "*", unpack(entry)) then
    keep(stream, ttl_s)
  end
end

-- Jobs that depend on this one are noted for RQ's own code to release. Their set must outlive
-- the time in which perhaps no worker is there to do it.
local DEPENDENTS_S = 86400

local function note_dependents(id, queue, ttl_s)
  local dependents = RQ_JOB .. id .. ":dependents"
  if redis.call("EXISTS", dependents) == 0 then return false end
  lenient("SADD", bucket_key(bucket_of(queue)) .. ":dependents", id)
  keep(dependents, math.max(ttl_s, DEPENDENTS_S))
  return true
end

-- 1 if jobs wait for the end of this one, or nobody can tell.
local function has_dependents(id, bucket)
  return try("SISMEMBER", bucket_key(bucket) .. ":dependents", id) or 1
end

-- The job's last state. `known` has its fields, if they were read before. Returns whether jobs wait
-- for its end.
local function end_job(id, queue, status, now_us, ttl_s, known)
  local job, dependencies = RQ_JOB .. id, "rq:job::" .. id .. ":dependencies" -- RQ's name for it
  -- without it, those that depend on it could not be released
  local is_awaited = note_dependents(id, queue, ttl_s)
  if is_awaited and ttl_s >= 0 then ttl_s = math.max(ttl_s, DEPENDENTS_S) end
  keep(job, ttl_s)
  if not known or known.dependency_id then keep(dependencies, ttl_s) end
  local revision = known and known.spigot_revision or redis.call("HGET", job, "spigot_revision")
  redis.call("HSET", job, "status", status, "ended_at", utc_text(now_us),
    "spigot_revision", (number(revision) or 0) + 1)
  if not known or known.spigot_reaps or known.spigot_suspicion or known.spigot_stop then
    try("HDEL", job, "spigot_reaps", "spigot_suspicion", "spigot_stop")
  end
  try("PUBLISH", EVENTS, id)
  if ttl_s == 0 then redis.call("DEL", job, dependencies) end
  return is_awaited
end

-- Cancelled is no failure. Scored by the time of that, as RQ does; the reaper forgets it later.
local function cancel_job(id, queue, now_us, keep_s, error, known)
  redis.call("HSET", RQ_JOB .. id, "spigot_error", error)
  lenient("ZADD", "rq:canceled:" .. queue, seconds(now_us), id)
  end_job(id, queue, "canceled", now_us, keep_s, known)
end

local RQ_FAILURE_TTL_S = 31536000 -- rq.defaults
local RQ_RESULT_TTL_S = 500 -- likewise

-- `trace` is base64 of the zlib-compressed traceback, as RQ keeps it.
local function fail_job(lease, now_us, error, trace)
  local ttl_s = number(lease.known.failure_ttl) or RQ_FAILURE_TTL_S
  redis.call("HSET", RQ_JOB .. lease.job, "spigot_error", error)
  add_result(lease.job, 2, lease, now_us, ttl_s, "exc_string", trace)
  lenient("ZADD", "rq:failed:" .. lease.queue, registry_score(now_us, ttl_s), lease.job)
  end_job(lease.job, lease.queue, "failed", now_us, ttl_s, lease.known)
end

-- How an attempt ends whose job is to stop, as `fate_of` says: its status, and why.
local function end_by(fate, error)
  if fate == "deleted" then return "cancelled", "Deleted: while it ran" end
  return fate, "Cancelled" .. (error ~= "" and ": " .. error or "")
end

-- Ends the job of an attempt, if it is cancelled or has failed. Returns whether it did.
local FAILED = { failed = true, refused = true, abandoned = true }

local function end_unless_it_goes_on(lease, status, now_us, keep_s, error, trace)
  if status == "cancelled" then
    cancel_job(lease.job, lease.queue, now_us, keep_s, error, lease.known)
  elseif FAILED[status] then
    fail_job(lease, now_us, error, trace)
  end
  return status == "cancelled" or FAILED[status]
end
