-- requires: times
--[[
Functions that know a bucket: its keys, its numbers and slots, its wake-up token, and the marks that
a change of a job leaves.

Keys of jobs are only known after a pop, so scripts build their names: the queue side needs a
single primary.
]]
local RQ_JOB = "rq:job:"
local RQ_QUEUE = "rq:queue:"
local ENDED = { finished = true, failed = true, canceled = true, stopped = true } -- statuses of RQ
local EVENTS = "spigot:1:job_events"
local HOLDS = "rq:pubsub:spigot_holds" -- under RQ's prefix: no user needs a further right
-- Of a bucket's hash; raised when a field gets another meaning. Versions that do not know budgets
-- know 1 alone.
local SCHEMA, SCHEMA_WITH_BUDGETS = 1, 2
local CLAIM_AHEAD_US = 50000 -- how long before its slot a job may be claimed, and no longer

-- As redis.call, but false where a key or a field holds what somebody else put there: that stops
-- no job. A missing right still raises.
local SPOILT = { "WRONGTYPE", "not an integer", "not a float", "not a valid float", "overflow", "NaN" }

local function lenient(...)
  local reply = redis.pcall(...)
  if type(reply) ~= "table" or not reply.err then return reply end
  for _, words in ipairs(SPOILT) do
    if string.find(reply.err, words, 1, true) then return false end
  end
  return redis.call(...)
end

-- For what is told when a job has moved, counters, events, wake-ups, what RQ shows: no job is lost
-- without it, so nothing of it stops a script. False if it failed.
local function try(...)
  local reply = redis.pcall(...)
  if type(reply) == "table" and reply.err then return false end
  return reply
end

local MOST = 9007199254740992 -- up to here Lua counts exactly

-- A number that Lua counts exactly; nil for all else.
local function number(text)
  local value = tonumber(text or nil)
  return value and value <= MOST and value >= -MOST and value or nil
end

-- Adds to a number in a hash; one that is no number begins anew.
local function add(hash, field, n)
  local sum = lenient("HINCRBY", hash, field, n)
  if sum then return sum end
  try("HSET", hash, field, n)
  return n
end

local function bucket_of(queue) return (string.gsub(string.gsub(queue, "%-high$", ""), "%-low$", "")) end
local function bucket_key(name) return "spigot:1:bucket:" .. name end
local function lease_key(token) return "spigot:1:lease:" .. token end

-- Whether the attempt with this token is running; false without one.
local function is_running(token)
  return token and redis.call("EXISTS", lease_key(token)) == 1 or false
end

-- Of a queue's list.
local function queue_name(list) return string.sub(list, #RQ_QUEUE + 1) end

local function queue_keys(name)
  local queue = RQ_QUEUE .. name
  return { queue .. "-high", queue, queue .. "-low" }
end

local BLANK = "" -- what a cancelled job leaves in its queue (places.lua)
local function blanks_key(queue) return "spigot:1:blanks:" .. queue end

local function has_blank_entries(queues)
  local keys = {}
  for i, list in ipairs(queues) do keys[i] = blanks_key(queue_name(list)) end
  return redis.call("EXISTS", unpack(keys)) > 0
end

local function blanks_in(queues)
  if not has_blank_entries(queues) then return 0 end
  local blanks = 0
  for _, list in ipairs(queues) do blanks = blanks + (lenient("ZCARD", blanks_key(queue_name(list))) or 0) end
  return blanks
end

local function entries_in(queues)
  local entries = 0
  for _, list in ipairs(queues) do entries = entries + (lenient("LLEN", list) or 0) end
  return entries
end

local function waiting_in(queues)
  local entries = entries_in(queues)
  return entries > 0 and math.max(0, entries - blanks_in(queues)) or 0
end

-- How many jobs wait in the three queues of a bucket, and how many of them go before one that joins
-- `queue` now. Each list is named once, as this is a good part of what enqueueing costs.
local function waiting_before(name, queue)
  local middle, blanks = RQ_QUEUE .. name, blanks_key(name)
  local high, low = middle .. "-high", middle .. "-low"
  local in_high, in_middle, in_low = redis.call("LLEN", high), redis.call("LLEN", middle), redis.call("LLEN", low)
  local waiting = in_high + in_middle + in_low
  if waiting > 0 and redis.call("EXISTS", blanks .. "-high", blanks, blanks .. "-low") > 0 then
    in_high, in_middle, in_low = waiting_in({ high }), waiting_in({ middle }), waiting_in({ low })
    waiting = in_high + in_middle + in_low
  end
  return waiting, queue == high and in_high or queue == middle and in_high + in_middle or waiting
end

local function size_of(set) return lenient("ZCARD", set) or 0 end

local function delayed_in(name)
  local jobs = size_of(bucket_key(name) .. ":delayed")
  for _, list in ipairs(queue_keys(name)) do
    jobs = jobs + size_of("rq:scheduled:" .. queue_name(list))
  end
  return jobs
end

-- Of a bucket whose rate is no rate, or its capacity no number, until somebody sets them.
local SPOILT_INTERVAL_US = SECOND_US

local SPOILT_CAPACITY = 1000

-- The numbers that pace a bucket and those of `others`; nil if nobody published them (the server is
-- new or was emptied). Each field that is read costs time.
local PACE = { "interval_us", "burst", "paused", "held_until_us", "last_slot_us", "ahead_us", "paced_us",
  "max_running", "schema", "budgets" }

local function read_numbers(name, others)
  local names = { unpack(PACE) }
  for i = 1, #others do names[#PACE + i] = others[i] end
  local values = redis.call("HMGET", bucket_key(name), unpack(names))
  if not values[1] then return nil end
  local bucket = { name = name }
  for i = 1, #names do
    bucket[names[i]] = values[i] and number(values[i]) or 0
  end
  if bucket.interval_us < 1 then bucket.interval_us = SPOILT_INTERVAL_US end
  if bucket.burst < 1 then bucket.burst = 1 end
  bucket.budgets = values[#PACE] ~= "" and values[#PACE] or nil
  if bucket.paced_us < 1 then bucket.paced_us = 1 end
  if bucket.capacity and not number(values[#PACE + 1]) then bucket.capacity = SPOILT_CAPACITY end
  return bucket
end

-- All of them.
local function read_bucket(name)
  return read_numbers(name, { "capacity", "draining", "mean_run_us", "alone_ms", "refused_us",
    "refusing_slot_us", "passed_slot_us", "suspected_us", "probing", "cell",
    "cell_starts", "cell_waiting" })
end

-- Those that leak.lua needs, where one of them is not what it should be.
local function read_for_start(name)
  return read_numbers(name, { "heard_us", "clock_us", "cell", "cell_starts" })
end

-- Who does not know what the fields mean may read them, but start and take in nothing.
local function is_newer(bucket) return bucket.schema > (bucket.budgets and SCHEMA_WITH_BUDGETS or SCHEMA) end

-- If the last slot is later, the server's clock was set back.
local function latest_slot_us(now_us) return now_us + CLAIM_AHEAD_US end

-- When the nth job from now may start: GCRA with a tolerance of burst - 1 intervals. `ahead_us`
-- is how far the theoretical arrival time of the last slot lies behind that slot; it is kept
-- apart from the slot so that new numbers count at once.
-- Source: ATM Forum TM 4.1, section 4.4 (virtual scheduling).
local function slot_of(bucket, now_us, nth)
  local interval_us = bucket.interval_us
  local tolerance_us = (bucket.burst - 1) * interval_us
  local last_us = math.min(bucket.last_slot_us, latest_slot_us(now_us))
  local ahead_us = bucket.ahead_us
  if ahead_us > 0 and interval_us ~= bucket.paced_us then
    ahead_us = math.ceil(ahead_us * interval_us / bucket.paced_us)
  end
  ahead_us = math.min(ahead_us, tolerance_us)
  local arrival_us = math.max(now_us, last_us + ahead_us + interval_us)
  if nth > 1 then
    arrival_us = math.max(arrival_us, bucket.held_until_us) + (nth - 1) * interval_us
  end
  local slot_us = math.max(now_us, last_us, arrival_us - tolerance_us, bucket.held_until_us)
  return slot_us, math.max(0, arrival_us - slot_us)
end

-- Wakes one idle worker of the bucket (polling.lua), unless one is being woken.
local function wake(name)
  local token = bucket_key(name) .. ":bell"
  if try("LLEN", token) == 0 then try("LPUSH", token, "1") end
end

-- Tells those who listen for the job that there is something new to read.
local function job_changed(job_id)
  try("HINCRBY", RQ_JOB .. job_id, "spigot_revision", 1)
  try("PUBLISH", EVENTS, job_id)
end
