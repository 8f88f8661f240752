-- requires: bucket, places, job_moves
--[[
Functions that find the first job of some queues that can be run, and drop the entries before it.
]]
local DROPPED_AT_ONCE = 100 -- entries that count as no job; with more of them the worker asks again

-- The job that waits at the head of a list; nil if the entry does not count. It has list, id,
-- known (its fields by name), hash (the same as they were read) and attempts.
local function read_waiting(list, id)
  local hash, known = id and lenient("HGETALL", RQ_JOB .. id), {}
  for i = 1, hash and #hash or 0, 2 do known[hash[i]] = hash[i + 1] end
  if not counts(known.data, known.status, known.spigot_stop, known.spigot_token) then return nil end
  return { list = list, id = id, hash = hash, known = known, attempts = number(known.spigot_attempts) or 0 }
end

-- The values of a job to which nothing has happened since it was enqueued, in the order of
-- FIELDS_OF_A_NEW_JOB in claim_answers.py: it has these fields, perhaps the last four, and no others.
-- So it was never started or moved, and is not to stop. Nil for any other job.
local function read_new(id, slot_us)
  local job = "rq:job:" .. id
  local fields = redis.pcall("HLEN", job)
  if type(fields) ~= "number" or fields < 13 or fields > 17 then return nil end
  local new = redis.call("HMGET", job, "data", "status", "created_at", "enqueued_at", "spigot_enqueued_us",
    "spigot_revision", "spigot_type", "spigot_place", "origin", "description", "timeout", "result_ttl", "failure_ttl")
  if fields > 13 then
    local rest = redis.call("HMGET", job, "spigot_request_id", "spigot_log", "retries_left", "retry_intervals")
    for i = 1, 4 do new[13 + i] = rest[i] end
  end
  for i = 1, #new do
    if new[i] then fields = fields - 1 end
  end
  local is_new = fields == 0 and new[1] and new[2] == "queued" and new[3] and new[3] == new[4] and new[6] == "1" and new[7]
  return is_new and (tonumber(new[5]) or math.huge) <= slot_us and new or nil
end

-- How many entries the queues have, the first of them that has any, and how many of them have.
local function filled_of(queues)
  local entries, first, filled = 0, nil, 0
  for _, list in ipairs(queues) do
    local length = lenient("LLEN", list) or 0
    if length > 0 then entries, first, filled = entries + length, first or list, filled + 1 end
  end
  return entries, first, filled
end

-- The first entries of a list, `most` at most, up to one that stands there twice.
local function first_entries(list, most)
  local entries, known = redis.call("LRANGE", list, 0, most - 1), {}
  for i, id in ipairs(entries) do
    if known[id] then return { unpack(entries, 1, i - 1) } end
    known[id] = true
  end
  return entries
end

local function take_first(list, entries)
  redis.call("LPOP", list, entries)
  move_head(queue_name(list), entries)
end

-- Blank entries at the heads leave before a slot is asked for, which they would take time from.
local function drop_first_blanks(queues)
  local dropped = 0
  for _, list in ipairs(queues) do
    if dropped < DROPPED_AT_ONCE then
      dropped = dropped + drop_blanks(queue_name(list), DROPPED_AT_ONCE - dropped)
    end
  end
  return dropped
end

-- The first job that can be run, which is left where it is; entries that do not count are dropped.
-- Returns it, or nil, and how many were dropped.
local function first_that_counts(queues, dropped)
  for _, list in ipairs(queues) do
    while dropped < DROPPED_AT_ONCE do
      local id = lenient("LINDEX", list, 0)
      if not id then break end
      local job = read_waiting(list, id)
      if job then return job, dropped end
      take_first(list, 1)
      dropped = dropped + 1
    end
  end
  return nil, dropped
end
