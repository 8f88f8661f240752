-- requires: bucket, places
--[[
Functions that move a job from one place to the next: to the end or the head of its queue, to a
time, out of its attempt, to its end.

A script that fails half-way (a right is missing, a key holds something else) is not undone. So
each script that moves a job goes in this order, and loses none wherever it fails:

1. decide  read, and refuse or go on; what is spoilt is read by `lenient`
2. arrive  write the job's hash, add the job to its new place, leave a line for the log. Until 3
           all of this may be done again
3. leave   take the job out of its old place; the last `redis.call`
4. tell    counters, events, wake-ups, what RQ shows: by `try`

What fails between 2 and 3 leaves the job in two places, of which one counts:

- A lease counts while its job names it (`spigot_token`) and has not ended.
- An entry of a queue, or of a set of delayed jobs, counts if its job is there, has not ended, is
  not to stop, and runs under no lease.
- An entry of a registry of jobs that have ended counts if the job's status says the same.
]]
local WAITS = { "data", "status", "spigot_stop", "spigot_token" }

-- Whether an entry of a place where jobs wait counts. Takes the four fields WAITS of its job.
local function counts(data, status, stop, token)
  return data and not stop and not ENDED[status] and not is_running(token)
end

-- The job joins the end of its queue.
local function to_queue(id, queue)
  local list = RQ_QUEUE .. queue
  lenient("SADD", "rq:queues", list)
  local length = redis.call("RPUSH", list, id)
  redis.call("HSET", RQ_JOB .. id, "status", "queued", "origin", queue,
    "spigot_place", head_of(queue) + length - 1)
  job_changed(id)
end

-- Where in the list a job belongs that comes back: first, but behind those that came back from
-- earlier slots. Returns the index, the entry before it, and whether it stands there already.
local function place_at_head(list, id, slot_us)
  local index, earlier, looked = 0, nil, 0
  while true do
    local other = redis.call("LINDEX", list, looked)
    if other == id then return looked, earlier, true end
    if other ~= BLANK or looked - index > NEAR then
      local returned_us = other and number(lenient("HGET", RQ_JOB .. other, "spigot_returned_us"))
      if not returned_us or returned_us >= slot_us then return index, earlier, false end
      index, earlier = looked + 1, other
    end
    looked = looked + 1
  end
end

-- The job goes first again, but behind those that came back from earlier slots.
local function to_head(id, queue, slot_us)
  local list = RQ_QUEUE .. queue
  local index, earlier, is_there = place_at_head(list, id, slot_us)
  local head
  if is_there then
    head = head_of(queue)
  else
    if earlier then
      redis.call("LINSERT", list, "AFTER", earlier, id)
    else
      redis.call("LPUSH", list, id)
    end
    head = add(bucket_key(bucket_of(queue)), head_field(queue), -1)
    if earlier then note_places(queue, redis.call("LRANGE", list, 0, index - 1), head) end
  end
  redis.call("HSET", RQ_JOB .. id, "status", "queued", "origin", queue, "spigot_returned_us", slot_us,
    "spigot_place", head + index)
  job_changed(id)
end

-- The job waits for a time. RQ calls that scheduled.
local function to_delayed(id, queue, due_us)
  redis.call("ZADD", bucket_key(bucket_of(queue)) .. ":delayed", math.ceil(due_us / 1000), id)
  redis.call("HSET", RQ_JOB .. id, "status", "scheduled", "origin", queue, "spigot_due_us", due_us)
  job_changed(id)
end

-- nil if there is no lease, or none that names its job. Other fields may have been lost.
local function read_lease(token)
  local names = { "job", "bucket", "queue", "worker", "slot_us", "attempt" }
  local values = lenient("HMGET", lease_key(token), unpack(names))
  if not values or not values[1] then return nil end
  local lease = { token = token }
  for i, field in ipairs(names) do lease[field] = values[i] end
  lease.bucket = lease.bucket or bucket_of(lease.queue or "default")
  lease.queue, lease.worker = lease.queue or lease.bucket, lease.worker or "unknown"
  lease.slot_us, lease.attempt = number(lease.slot_us) or 0, number(lease.attempt) or 0
  return lease
end

-- What became of the job of an attempt, and how often its worker or its process died before:
-- "left" (a script that failed half-way had moved it already), "deleted", "cancelled" (it does
-- not run again, whatever ends its attempt), or nil.
local function fate_of(lease)
  local key = RQ_JOB .. lease.job
  local job = lenient("HMGET", key, "data", "status", "spigot_stop", "spigot_token", "spigot_reaps")
  if not job then return "deleted", 0 end
  if not job[1] then
    redis.call("DEL", key) -- fields that were set on the way here
    return "deleted", 0
  end
  local status, reaps = job[2], number(job[5]) or 0
  if job[4] ~= lease.token or status == "finished" or status == "failed" then return "left", reaps end
  return (job[3] or ENDED[status]) and "cancelled" or nil, reaps
end

local function is_cancelled(id)
  local job = lenient("HMGET", RQ_JOB .. id, "spigot_stop", "status") or {}
  return job[1] or job[2] == "canceled" or job[2] == "stopped"
end

-- The job leaves its attempt: from now on the lease does not count. It goes before its entry, by
-- which it would be found again.
local function leave_attempt(lease, fate)
  if fate ~= "deleted" then redis.call("HDEL", RQ_JOB .. lease.job, "spigot_token") end
  if try("DEL", lease_key(lease.token), "rq:execution:" .. lease.job .. ":" .. lease.token) then
    try("ZREM", bucket_key(lease.bucket) .. ":leases", lease.token)
  end
  try("ZREM", "rq:wip:" .. lease.queue, lease.job .. ":" .. lease.token)
  try("ZREM", "rq:executions:" .. lease.job, lease.token)
  local worker = "rq:worker:" .. lease.worker
  if try("HGET", worker, "current_job") == lease.job then
    try("HDEL", worker, "current_job")
    try("HSET", worker, "state", "idle")
  end
end

-- The function's last word, which it may not have had time to have written.
local function keep_progress(id, progress)
  if progress ~= "" then redis.call("HSET", RQ_JOB .. id, "spigot_progress", progress) end
end

local function seconds(us) return us and string.format("%.6f", us / SECOND_US) or "null" end

-- What the type wants logged; {} if that is no JSON, or would take more than one line.
local function logged(text)
  if not text or string.find(text, "%c") or not pcall(cjson.decode, text) then return "{}" end
  return text
end

-- One line of the result log, kept until a worker has written it to its file. `owner` is the
-- worker that will; another adopts the line when that one is gone.
local function log_line(entry)
  local job = lenient("HMGET", RQ_JOB .. entry.job, "spigot_type", "spigot_log",
    "spigot_enqueued_us", "enqueued_at", "description", "spigot_attempts") or {}
  local enqueued_us = number(job[3]) or utc_us(job[4] or "")
  local type = entry.type or job[1] or string.match(job[5] or "", "^[%w_%.]+") or "rq"
  local slot_us = entry.slot_us
  entry.counted_as = job[1] or "rq"
  local line = '{"time":"' .. utc_text(entry.now_us) .. '","id":' .. cjson.encode(entry.job)
    .. ',"type":' .. cjson.encode(type) .. ',"bucket":' .. cjson.encode(entry.bucket)
    .. ',"status":"' .. entry.status
    .. '","attempt":' .. string.format("%d", entry.attempt or number(job[6]) or 0)
    .. ',"worker":' .. (entry.worker and cjson.encode(entry.worker) or "null")
    .. ',"queued_for":' .. seconds(enqueued_us and math.max(0, (slot_us or entry.now_us) - enqueued_us))
    .. ',"ran_for":' .. seconds(slot_us and math.max(0, entry.now_us - slot_us))
    .. ',"slot_at":' .. seconds(slot_us)
    .. (entry.error and ',"error":' .. cjson.encode(entry.error) or ',"result":' .. (entry.result or "null"))
    .. ',"log":' .. logged(job[2]) .. "}"
  lenient("HSET", bucket_key(entry.bucket) .. ":unlogged", entry.token, entry.owner .. "\n" .. line)
  return line
end

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

-- The job's last state.
local function end_job(id, queue, status, now_us, ttl_s)
  local job, dependencies = RQ_JOB .. id, "rq:job::" .. id .. ":dependencies" -- RQ's name for it
  -- without it, those that depend on it could not be released
  if note_dependents(id, queue, ttl_s) and ttl_s >= 0 then ttl_s = math.max(ttl_s, DEPENDENTS_S) end
  keep(job, ttl_s)
  keep(dependencies, ttl_s)
  redis.call("HSET", job, "status", status, "ended_at", utc_text(now_us))
  try("HDEL", job, "spigot_reaps", "spigot_stop")
  job_changed(id)
  if ttl_s == 0 then redis.call("DEL", job, dependencies) end
end

-- Cancelled is no failure. Scored by the time of that, as RQ does; the reaper forgets it later.
local function cancel_job(id, queue, now_us, keep_s, error)
  redis.call("HSET", RQ_JOB .. id, "spigot_error", error)
  lenient("ZADD", "rq:canceled:" .. queue, seconds(now_us), id)
  end_job(id, queue, "canceled", now_us, keep_s)
end

local function ttl_of(id, field, default_s)
  return number(redis.call("HGET", RQ_JOB .. id, field)) or default_s
end

local RQ_FAILURE_TTL_S = 31536000 -- rq.defaults
local RQ_RESULT_TTL_S = 500 -- likewise

-- `trace` is base64 of the zlib-compressed traceback, as RQ keeps it.
local function fail_job(lease, now_us, error, trace)
  local ttl_s = ttl_of(lease.job, "failure_ttl", RQ_FAILURE_TTL_S)
  redis.call("HSET", RQ_JOB .. lease.job, "spigot_error", error)
  add_result(lease.job, 2, lease, now_us, ttl_s, "exc_string", trace)
  lenient("ZADD", "rq:failed:" .. lease.queue, registry_score(now_us, ttl_s), lease.job)
  end_job(lease.job, lease.queue, "failed", now_us, ttl_s)
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
    cancel_job(lease.job, lease.queue, now_us, keep_s, error)
  elseif FAILED[status] then
    fail_job(lease, now_us, error, trace)
  end
  return status == "cancelled" or FAILED[status]
end

-- RQ's record of a worker ends by itself when the worker is not seen.
local function seen_by_rq(worker, now_us, ttl_s)
  local key = "rq:worker:" .. worker
  if try("EXISTS", key) ~= 1 then return end
  try("HSET", key, "last_heartbeat", utc_text(now_us))
  try("EXPIRE", key, ttl_s)
end

-- The answer to a worker that did not get the first one: its line, if it is still to be logged.
local function ended_before(bucket, token)
  local kept = lenient("HGET", bucket_key(bucket) .. ":unlogged", token)
  local line = kept and string.match(kept, "^[^\n]*\n(.*)$")
  return line and { line, 1 } or {}
end
