-- requires: times, bucket, delayed, job_moves
--[[
Functions that let jobs whose time has come join the end of their queue: ours (retries), and
those that plain RQ scheduled.
]]
local PROMOTED_AT_ONCE = 100
local NEXT_SLICE_MS = 10 -- others are served between two slices

local function due_in(set, score)
  return lenient("ZRANGEBYSCORE", set, "-inf", score, "LIMIT", 0, PROMOTED_AT_ONCE) or {}
end

local function read_job(id) return lenient("HMGET", RQ_JOB .. id, "origin", unpack(WAITS)) or {} end

-- Moves one job, unless its entry does not count, from the set to its queue.
local function promote_delayed(name, now_us)
  local delayed = bucket_key(name) .. ":delayed"
  for _, id in ipairs(due_in(delayed, ms(now_us))) do
    local job = read_job(id)
    if job[1] and counts(unpack(job, 2, 5)) then to_queue(id, job[1]) end
    redis.call("ZREM", delayed, id)
  end
end

-- RQ adds the entry first, and writes the job with the caller's next MULTI, which may be seconds
-- later: an entry that does not count yet is looked at again after 1, 2, 4, 8 and 16 s. RQ's times
-- are whole seconds: a fraction tells how often it was looked at.
-- Source: rq.registry.ScheduledJobRegistry.schedule, RQ 2.12.
local LOOK_S, MOST_LOOKS = 1 / 64, 5

local function looks_at(scheduled, id)
  local score = number(redis.call("ZSCORE", scheduled, id)) or 0
  return math.floor(score % 1 / LOOK_S)
end

local function look_again(scheduled, id, looks, now_us)
  if looks >= MOST_LOOKS then return redis.call("ZREM", scheduled, id) end
  local look_s = math.floor(now_us / SECOND_US) + 2 ^ looks + (looks + 1) * LOOK_S
  redis.call("ZADD", scheduled, "XX", string.format("%.6f", look_s), id)
end

-- One that was looked at before joins the queue only if its job says that it is to.
local function promote_one(scheduled, id, queue, now_us)
  local job, looks = read_job(id), looks_at(scheduled, id)
  if not counts(unpack(job, 2, 5)) or looks > 0 and job[3] ~= "scheduled" then
    return look_again(scheduled, id, looks, now_us)
  end
  redis.call("HSET", RQ_JOB .. id, "spigot_due_us", now_us)
  to_queue(id, queue)
  redis.call("ZREM", scheduled, id)
end

-- RQ keeps the time in seconds.
local function promote_scheduled(queue, now_us)
  local scheduled = "rq:scheduled:" .. queue
  for _, id in ipairs(due_in(scheduled, string.format("%.6f", now_us / SECOND_US))) do
    promote_one(scheduled, id, queue, now_us)
  end
end

local function first_score(set)
  local first = lenient("ZRANGE", set, 0, 0, "WITHSCORES") or {}
  return tonumber(first[2]) or math.huge
end

-- The millisecond at which the next job is due; math.huge if there is none.
local function next_due_ms(name)
  local delayed, scheduled = bucket_key(name) .. ":delayed", "rq:scheduled:" .. name
  local sets = { scheduled .. "-high", scheduled, scheduled .. "-low" }
  local due_ms = first_score(delayed)
  for _, set in ipairs(sets) do due_ms = math.min(due_ms, math.ceil(first_score(set) * 1000)) end
  return due_ms
end

local function promote_due(name, now_us)
  local is_moving = move_delayed(name)
  local due_ms = next_due_ms(name)
  if due_ms <= ms(now_us) then
    promote_delayed(name, now_us)
    for _, list in ipairs(queue_keys(name)) do
      promote_scheduled(queue_name(list), now_us)
    end
    due_ms = next_due_ms(name)
  end
  return is_moving and math.min(due_ms, ms(now_us) + NEXT_SLICE_MS) or due_ms
end

-- Returns when the next job is due, in ms; math.huge if none waits for a time.
local function promote(name, now_us)
  local scheduled = "rq:scheduled:" .. name
  local waiting = redis.call("EXISTS", bucket_key(name) .. ":delayed", scheduled .. "-high", scheduled,
    scheduled .. "-low")
  return waiting > 0 and promote_due(name, now_us) or math.huge
end
