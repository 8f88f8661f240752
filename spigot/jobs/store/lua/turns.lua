-- requires: times, bucket, places, job_moves, refusals
--[[
Functions that say whose turn it is while a suspect waits (refusals.lua): another job's, which is
brought to the head of its queue. Afterwards the order is what it was, but for a guilty job, which
goes to the end of its queue. Only the first jobs of each queue are looked at.
]]
local LOOKED_AT = 9
local WITNESS_US = 300 * SECOND_US -- how long a suspect that waits alone waits for its witness

-- nil if the entry is no job that may run.
local function read_candidate(id)
  local job = lenient("HMGET", RQ_JOB .. id, "spigot_refusals", "spigot_refused_us",
    "spigot_set_back", "spigot_first_slot_us", unpack(WAITS))
  return job and counts(unpack(job, 5, 8)) and read_refusals(job) or nil
end

local function set_back(id, list)
  redis.call("HSET", RQ_JOB .. id, "spigot_set_back", 1)
  redis.call("HDEL", RQ_JOB .. id, "spigot_returned_us", "spigot_first_slot_us")
  to_queue(id, queue_name(list))
end

local function bring_forward(list, index, id)
  if index == 0 then return end
  redis.call("LPUSH", list, id)
  take_entry(list, index + 1, true)
  note_places(queue_name(list), redis.call("LRANGE", list, 0, index), head_of(queue_name(list)))
end

-- A refusal that lies ahead is from before the server's clock was set back: it counts as one of now.
local function mend_the_time_of(id, refusals, now_us)
  if refusals.last_us <= now_us then return end
  refusals.last_us = now_us
  redis.call("HSET", RQ_JOB .. id, "spigot_refused_us", now_us)
end

-- Adds the first jobs of a queue to `found`, up to one that was never refused; a guilty one goes to
-- the end. Returns whether there is such a job.
local function look_at(list, bucket, found, now_us)
  local index = 0
  for _, id in ipairs(redis.call("LRANGE", list, 0, LOOKED_AT - 1)) do
    local refusals = read_candidate(id)
    if refusals then mend_the_time_of(id, refusals, now_us) end
    local verdict = refusals and verdict_on(refusals, bucket)
    if verdict == "guilty" and not refusals.set_back then
      set_back(id, list)
      remove_entry(queue_name(list), index)
      index = index - 1
    elseif refusals then
      found[#found + 1] = { list = list, index = index, id = id, is_new = refusals.count == 0,
        is_open = verdict == "open", last_us = refusals.last_us }
      if refusals.count == 0 then return true end
    end
    index = index + 1
  end
  return false
end

-- The best witness: a job that was never refused, or else one that is no suspect, or else the
-- suspect that was refused longest ago, which is the others' witness.
local function least_suspect(found)
  local best = found[1]
  for _, job in ipairs(found) do
    if job.is_new then return job end
    local is_better = best.is_open and not job.is_open
      or best.is_open == job.is_open and job.last_us < best.last_us
    if is_better then best = job end
  end
  return best
end

local function witness_runs(name)
  return is_running(redis.call("HGET", bucket_key(name), "witness_token"))
end

-- Returns the queues to take a job from, most urgent first; none while a suspect waits for its
-- witness. `token` is of the attempt that is to begin.
local function turns(queues, bucket, token, now_us)
  bucket = read_bucket(bucket.name)
  forget_the_future(bucket, now_us)
  local key, found, has_open, has_new = bucket_key(bucket.name), {}, false, false
  for _, list in ipairs(queues) do
    has_new = has_new or look_at(list, bucket, found, now_us)
  end
  for _, job in ipairs(found) do has_open = has_open or job.is_open end
  if not has_open then
    if not has_new then redis.call("HDEL", key, "suspected_us", "witness_token") end
    return queues
  end
  local witness = least_suspect(found)
  local waits = witness.is_open and witness.last_us + WITNESS_US > now_us
  if waits and witness_runs(bucket.name) then return {} end
  bring_forward(witness.list, witness.index, witness.id)
  if #found > 1 then redis.call("HSET", key, "witness_token", token) end
  return { witness.list }
end

-- While a downstream that does not say how long is asked with one job at a time (refusals.lua).
local function is_probed(bucket)
  return is_running(redis.call("HGET", bucket_key(bucket.name), "probe_token"))
end
