-- requires: times, bucket, attempts, bucket_stats, job_end, places, result_log, job_moves
--[[
Functions that tell whether a job is anywhere, and bring back one that is nowhere.

Only jobs that are to run are looked at: queued, started or scheduled, in a queue of a bucket. One
that waits for others (deferred), is being made, or has ended needs no place of ours.
]]
local NEEDS_A_PLACE = { queued = true, started = true, scheduled = true }
local KNOWN_BY = { "data", "status", "origin", "spigot_stop", "spigot_token", "spigot_revision", "spigot_place" }
local ENDS_LOOKED_AT = 200 -- entries at both ends of a queue, where jobs come and go

local served = {} -- by queue: the bucket that it belongs to, or false

local function bucket_served(queue)
  if served[queue] ~= nil then return served[queue] end
  served[queue] = false
  local readable, bucket = pcall(read_bucket, bucket_of(queue))
  if not readable then return false end
  for _, list in ipairs(queue_keys(bucket_of(queue))) do
    if bucket and not is_newer(bucket) and list == RQ_QUEUE .. queue then served[queue] = bucket.name end
  end
  return served[queue]
end

-- What identifies this state of the job: whatever moves it changes one of these. Nil for a job that
-- needs no place.
local function read_state(id)
  local job = lenient("HMGET", RQ_JOB .. id, unpack(KNOWN_BY))
  if not job or not job[1] or not NEEDS_A_PLACE[job[2]] or not job[3] then return nil end
  local bucket = bucket_served(job[3])
  if not bucket then return nil end
  return { id = id, bucket = bucket, status = job[2], queue = job[3], stop = job[4], token = job[5],
    revision = job[6], place = number(job[7]) }
end

local function mark_of(state)
  return cjson.encode({ state.bucket, state.id, state.status, state.queue, state.stop, state.token,
    state.revision, state.place or false })
end

local function has_lease(state)
  return state.token and lenient("HGET", lease_key(state.token), "job") == state.id
end

-- A lease lives while it is in the list by which it would be reaped.
local function is_under_a_lease(state)
  return has_lease(state) and lenient("ZSCORE", bucket_key(state.bucket) .. ":leases", state.token)
end

-- Whether the job is where its status says, as far as that costs little. False proves nothing.
local function is_in_its_place(state)
  if state.status == "started" then return is_under_a_lease(state) end
  if state.status == "scheduled" then
    return lenient("ZSCORE", bucket_key(state.bucket) .. ":delayed", state.id)
      or lenient("ZSCORE", "rq:scheduled:" .. state.queue, state.id)
  end
  local list, index = RQ_QUEUE .. state.queue, state.place and state.place - head_of(state.queue)
  if not index then return false end
  return index >= 0 and lenient("LINDEX", list, index) == state.id or find_near(list, state.id, index)
end

local function is_in_a_queue(id, list)
  return lenient("LPOS", list, id, "MAXLEN", ENDS_LOOKED_AT)
    or lenient("LPOS", list, id, "RANK", -1, "MAXLEN", ENDS_LOOKED_AT)
    or lenient("LPOS", list .. ":intermediate", id, "MAXLEN", ENDS_LOOKED_AT) -- a plain worker's
end

-- Whether it is in any place, but for the middle of long queues, which are walked through before.
local function is_anywhere(state)
  local id = state.id
  if redis.call("TTL", RQ_JOB .. id) ~= -1 then return true end -- it is not to be kept
  if is_under_a_lease(state) then return true end
  if lenient("ZSCORE", bucket_key(state.bucket) .. ":delayed", id) then return true end
  -- ours have no end; with one, a plain worker runs it
  if (lenient("ZCOUNT", "rq:executions:" .. id, "-inf", "(+inf") or 0) > 0 then return true end
  for _, list in ipairs(queue_keys(state.bucket)) do
    local queue = queue_name(list)
    if is_in_a_queue(id, list) or lenient("ZSCORE", "rq:scheduled:" .. queue, id)
      or lenient("ZSCORE", "rq:deferred:" .. queue, id) then return true end
  end
  return false
end

local LOST_AS = { queued = "queued, but in no queue", started = "started, but under no lease",
  scheduled = "to wait for a time, but nothing said for which" }

-- The attempt has no lease any more that could end it: its end is told here.
local function end_attempt(state, lease, status, error, now_us, worker)
  local entry = { now_us = now_us, job = state.id, bucket = state.bucket, status = status, error = error,
    attempt = lease.attempt, worker = lease.worker, slot_us = lease.slot_us, owner = worker,
    token = "reaped:" .. (state.token or string.format("%s:%d", state.id, now_us)) }
  return entry, log_line(entry)
end

local function read_attempt(state)
  local job = lenient("HMGET", RQ_JOB .. state.id, "worker_name", "spigot_slot_us", "spigot_attempts",
    "spigot_due_us") or {}
  return { job = state.id, queue = state.queue, bucket = state.bucket, token = state.token or "",
    worker = job[1] or "unknown", slot_us = number(job[2]) or 0, attempt = number(job[3]) or 0,
    due_us = number(job[4]) or 0 }
end

local function return_to_its_place(state, attempt, now_us)
  if state.status == "started" then
    to_head(state.id, state.queue, attempt.slot_us)
  elseif state.status == "scheduled" and attempt.due_us > now_us then
    to_delayed(state.id, state.queue, attempt.due_us)
  else
    to_queue(state.id, state.queue)
  end
end

-- The lease of an attempt that may still run is put back into the list by which it is reaped.
local function list_lease(state, now_us, lease_ms)
  if not has_lease(state) then return false end
  redis.call("ZADD", bucket_key(state.bucket) .. ":leases", ms(now_us) + lease_ms, state.token)
  return true
end

-- Returns what to say of it, and a token and line for the result log if an attempt ended.
local function bring_back(state, now_us, lease_ms, keep_s, worker)
  local told = state.id .. " was " .. (LOST_AS[state.status])
  if list_lease(state, now_us, lease_ms) then
    count(state.bucket, "brought_back", lenient("HGET", RQ_JOB .. state.id, "spigot_type") or "rq")
    return told .. " that can run out; it has one again"
  end
  local attempt, entry, line = read_attempt(state), nil, nil
  local stopped = state.stop and "Cancelled: its attempt was lost"
  if state.status == "started" or stopped then
    entry, line = end_attempt(state, attempt, stopped and "cancelled" or "reaped",
      stopped or "it was started, but under no lease", now_us, worker)
  end
  if stopped then
    cancel_job(state.id, state.queue, now_us, keep_s, stopped)
  else
    return_to_its_place(state, attempt, now_us)
  end
  if state.token then leave_attempt(attempt, nil, { now_us = now_us, started = true }) end
  count(state.bucket, "brought_back", lenient("HGET", RQ_JOB .. state.id, "spigot_type") or "rq")
  if entry then count_end(entry) end
  wake(state.bucket)
  return told .. (stopped and "; it was to stop, and is cancelled" or "; it waits again"), entry and entry.token, line
end
