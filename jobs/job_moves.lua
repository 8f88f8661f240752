--[[
Functions that move a job from one place to the next: to the end or the head of its queue,
out of its attempt, to its end. Each leaves the job in exactly one place.
]]
local function head_field(queue) return "head:" .. queue end

-- True of a running job that is to stop, and of one that RQ's Job.cancel marked: whatever ends
-- its attempt, it does not run again.
local function is_cancelled(id)
  local job = redis.call("HMGET", RQ_JOB .. id, "spigot_stop", "status")
  return job[1] or job[2] == "canceled" or job[2] == "stopped"
end

-- False of a job that was deleted while it ran or was delayed; fields that were set on the way
-- here go too.
local function is_there(id)
  if redis.call("HEXISTS", RQ_JOB .. id, "data") == 1 then return true end
  redis.call("DEL", RQ_JOB .. id)
  return false
end

-- The job joins the end of its queue.
local function to_queue(id, queue)
  local job, key, list = RQ_JOB .. id, bucket_key(bucket_of(queue)), RQ_QUEUE .. queue
  if not is_there(id) or is_cancelled(id) then return end
  local head = tonumber(redis.call("HGET", key, head_field(queue))) or 0
  redis.call("HSET", job, "status", "queued", "origin", queue,
    "spigot_place", head + redis.call("LLEN", list))
  redis.call("SADD", "rq:queues", list)
  redis.call("RPUSH", list, id)
  job_changed(id)
end

-- The job goes first again, but behind those that came back from earlier slots.
local function to_head(id, queue, slot_us)
  local job, list, index, earlier = RQ_JOB .. id, RQ_QUEUE .. queue, 0, nil
  while true do
    local other = redis.call("LINDEX", list, index)
    local returned_us = other and tonumber(redis.call("HGET", RQ_JOB .. other, "spigot_returned_us"))
    if not returned_us or returned_us >= slot_us then break end
    index, earlier = index + 1, other
  end
  if earlier then
    redis.call("LINSERT", list, "AFTER", earlier, id)
  else
    redis.call("LPUSH", list, id)
  end
  local head = redis.call("HINCRBY", bucket_key(bucket_of(queue)), head_field(queue), -1)
  redis.call("HSET", job, "status", "queued", "origin", queue, "spigot_returned_us", slot_us,
    "spigot_place", head + index)
  job_changed(id)
end

-- The job waits for a time. RQ calls that scheduled.
local function to_delayed(id, queue, due_us)
  redis.call("HSET", RQ_JOB .. id, "status", "scheduled", "origin", queue, "spigot_due_us", due_us)
  redis.call("ZADD", bucket_key(bucket_of(queue)) .. ":delayed", math.ceil(due_us / 1000), id)
  job_changed(id)
end

local function read_lease(token)
  local names = { "job", "bucket", "queue", "worker", "slot_us", "attempt" }
  local values = redis.call("HMGET", "spigot:1:lease:" .. token, unpack(names))
  if not values[1] then return nil end
  local lease = { token = token }
  for i, field in ipairs(names) do lease[field] = values[i] end
  lease.slot_us = tonumber(lease.slot_us)
  return lease
end

-- Removes the attempt's lease and RQ's traces of it.
local function close_attempt(lease)
  redis.call("DEL", "spigot:1:lease:" .. lease.token, "rq:execution:" .. lease.job .. ":" .. lease.token)
  redis.call("ZREM", bucket_key(lease.bucket) .. ":leases", lease.token)
  redis.call("ZREM", "rq:wip:" .. lease.queue, lease.job .. ":" .. lease.token)
  redis.call("ZREM", "rq:executions:" .. lease.job, lease.token)
  redis.call("HDEL", RQ_JOB .. lease.job, "spigot_token")
  local worker = "rq:worker:" .. lease.worker
  if redis.call("HGET", worker, "current_job") == lease.job then
    redis.call("HDEL", worker, "current_job")
    redis.call("HSET", worker, "state", "idle")
  end
end

-- The function's last word, which it may not have had time to have written.
local function keep_progress(id, progress)
  if progress ~= "" then redis.call("HSET", RQ_JOB .. id, "spigot_progress", progress) end
end

local function seconds(us) return us and string.format("%.6f", us / SECOND_US) or "null" end

-- One line of the result log, kept until a worker has written it to its file. `owner` is the
-- worker that will; another adopts the line when that one is gone.
local function log_line(entry)
  local job = redis.call("HMGET", RQ_JOB .. entry.job, "spigot_type", "spigot_log",
    "spigot_enqueued_us", "enqueued_at", "description", "spigot_attempts")
  local enqueued_us = tonumber(job[3]) or utc_us(job[4])
  local type = entry.type or job[1] or string.match(job[5] or "", "^[%w_%.]+") or "rq"
  local slot_us = entry.slot_us
  local line = '{"time":"' .. utc_text(entry.now_us) .. '","id":' .. cjson.encode(entry.job)
    .. ',"type":' .. cjson.encode(type) .. ',"bucket":"' .. entry.bucket
    .. '","status":"' .. entry.status .. '","attempt":' .. (entry.attempt or job[6] or "0")
    .. ',"worker":' .. (entry.worker and cjson.encode(entry.worker) or "null")
    .. ',"queued_for":' .. seconds(enqueued_us and math.max(0, (slot_us or entry.now_us) - enqueued_us))
    .. ',"ran_for":' .. seconds(slot_us and math.max(0, entry.now_us - slot_us))
    .. ',"slot_at":' .. seconds(slot_us)
    .. (entry.error and ',"error":' .. cjson.encode(entry.error) or ',"result":' .. (entry.result or "null"))
    .. ',"log":' .. (job[2] or "{}") .. "}"
  redis.call("HSET", bucket_key(entry.bucket) .. ":unlogged", entry.token, entry.owner .. "\n" .. line)
  count_end(entry, job[1] or "rq")
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
  redis.call("XADD", RESULT_DRAFT, "*", unpack(entry))
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
  if not add_first_result(stream, entry) then
    redis.call("XADD", stream, "MAXLEN", 10, "*", unpack(entry))
  end
  keep(stream, ttl_s)
end

-- Jobs that depend on this one are noted for RQ's own code to release. Their set must outlive
-- the time in which perhaps no worker is there to do it.
local DEPENDENTS_S = 86400
local function note_dependents(id, queue, ttl_s)
  local dependents = RQ_JOB .. id .. ":dependents"
  if redis.call("EXISTS", dependents) == 0 then return false end
  redis.call("SADD", bucket_key(bucket_of(queue)) .. ":dependents", id)
  keep(dependents, math.max(ttl_s, DEPENDENTS_S))
  return true
end

-- The job's last state.
local function end_job(id, queue, status, now_us, ttl_s)
  local job, dependencies = RQ_JOB .. id, "rq:job::" .. id .. ":dependencies" -- RQ's name for it
  redis.call("HSET", job, "status", status, "ended_at", utc_text(now_us))
  redis.call("HDEL", job, "spigot_reaps")
  job_changed(id)
  if note_dependents(id, queue, ttl_s) and ttl_s == 0 then ttl_s = DEPENDENTS_S end
  if ttl_s == 0 then redis.call("DEL", job, dependencies) end
  keep(job, ttl_s)
  keep(dependencies, ttl_s)
end

-- Cancelled is no failure. Scored by the time of that, as RQ does; the reaper forgets it later.
local function cancel_job(id, queue, now_us, keep_s, error)
  redis.call("HDEL", RQ_JOB .. id, "spigot_stop")
  redis.call("HSET", RQ_JOB .. id, "spigot_error", error)
  redis.call("ZADD", "rq:canceled:" .. queue, seconds(now_us), id)
  end_job(id, queue, "canceled", now_us, keep_s)
end

local function ttl_of(id, field, default_s)
  return tonumber(redis.call("HGET", RQ_JOB .. id, field) or nil) or default_s
end

local RQ_FAILURE_TTL_S, RQ_RESULT_TTL_S = 31536000, 500 -- rq.defaults

-- `trace` is base64 of the zlib-compressed traceback, as RQ keeps it.
local function fail_job(lease, now_us, error, trace)
  local ttl_s = ttl_of(lease.job, "failure_ttl", RQ_FAILURE_TTL_S)
  redis.call("HSET", RQ_JOB .. lease.job, "spigot_error", error)
  add_result(lease.job, 2, lease, now_us, ttl_s, "exc_string", trace)
  redis.call("ZADD", "rq:failed:" .. lease.queue, registry_score(now_us, ttl_s), lease.job)
  end_job(lease.job, lease.queue, "failed", now_us, ttl_s)
end

-- How often the job's worker or its process died; an operator who requeues it starts anew.
local function count_reap(id) return redis.call("HINCRBY", RQ_JOB .. id, "spigot_reaps", 1) end

-- Why a job may not run again although its attempt did not end it: "deleted", "cancelled" or nil.
local function taken_away(id)
  if not is_there(id) then return "deleted" end
  return is_cancelled(id) and "cancelled" or nil
end

-- RQ's record of a worker ends by itself when the worker is not seen.
local function seen_by_rq(worker, now_us, ttl_s)
  local key = "rq:worker:" .. worker
  if redis.call("EXISTS", key) == 0 then return end
  redis.call("HSET", key, "last_heartbeat", utc_text(now_us))
  redis.call("EXPIRE", key, ttl_s)
end

-- The answer to a worker that did not get the first one: its line, if it is still to be logged.
local function ended_before(bucket, token)
  local kept = redis.call("HGET", bucket_key(bucket) .. ":unlogged", token)
  if not kept then return {} end
  return { string.match(kept, "^[^\n]*\n(.*)$"), 1 }
end
