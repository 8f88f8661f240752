-- requires: times, bucket
--[[
Functions that count what a bucket does, in fields of its hash `…:stats`:

EVENT:TYPE            how often; TYPE is a job type of the catalog, or rq for plain RQ's jobs
NAME:TYPE:BOUND_US    observations of at most BOUND_US, and of more than the bound before it
NAME:TYPE:sum_us      the sum of all observations

TYPE is empty where types are not told apart. Nothing here names a client or a job, so the hash
stays small whatever happens.
]]
local LONG_US = { 5000, 25000, 100000, 250000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000,
  120000000, 300000000, 600000000, 1800000000, 3600000000 }
local LATE_US = { 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 250000, 1000000, 5000000 }
local GAP_US = { 1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000, 1000000, 2000000, 5000000,
  10000000, 30000000, 60000000, 300000000, 1800000000, 3600000000 }
local BOUNDS_US = { waiting = LONG_US, run = LONG_US, late = LATE_US, gap = GAP_US }

local function count(name, event, type, times)
  try("HINCRBY", bucket_key(name) .. ":stats", event .. ":" .. type, times or 1)
end

-- Jobs that the bucket turned away. `…:refused` has a field for each of the last periods, which says
-- its number and how many: the pages show the last hour.
local REFUSAL_PERIOD_S, REFUSAL_PERIODS = 300, 12

local function period_of(us) return math.floor(us / SECOND_US / REFUSAL_PERIOD_S) end

local function count_refused(name, now_us, reason, type, times)
  count(name, reason, type, times)
  local key, period = bucket_key(name) .. ":refused", period_of(now_us)
  local field = period % REFUSAL_PERIODS
  local number_of, before = string.match(lenient("HGET", key, field) or "", "^(%d+):(%d+)$")
  if tonumber(number_of) == period then times = times + before end
  try("HSET", key, field, string.format("%d:%d", period, times))
  try("EXPIRE", key, REFUSAL_PERIOD_S * REFUSAL_PERIODS)
end

local function refused_lately(name, now_us)
  local sum, oldest = 0, period_of(now_us) - REFUSAL_PERIODS + 1
  local fields = lenient("HGETALL", bucket_key(name) .. ":refused") or {}
  for at = 2, #fields, 2 do
    local period, times = string.match(fields[at], "^(%d+):(%d+)$")
    if period and tonumber(period) >= oldest then sum = sum + times end
  end
  return sum
end

local function bound_of(us, bounds_us)
  local n = 1
  while bounds_us[n] and us > bounds_us[n] do n = n + 1 end
  return bounds_us[n] or "inf"
end

-- The last time the job joined a queue: RQ's own requeue leaves our times as they were, and changes
-- `enqueued_at`. Nil if that is unknown. Takes the job's fields by name.
local function joined_us(job)
  local us = math.max(number(job.spigot_due_us) or 0, number(job.spigot_enqueued_us) or 0)
  if us == 0 or job.enqueued_at ~= job.created_at then us = math.max(us, utc_us(job.enqueued_at or "") or 0) end
  return us > 0 and us or nil
end

-- Starts that are made together are counted together: `counted` has what is to be added, by field.
-- nil counts at once.
local function add_to(stats, counted, field, times)
  if counted then
    counted[field] = (counted[field] or 0) + times
  else
    redis.pcall("HINCRBY", stats, field, times)
  end
end

-- Adds to a histogram, which is a prefix such as "run:mail:" and its bounds.
local function observe(stats, counted, prefix, bounds_us, us)
  add_to(stats, counted, prefix .. bound_of(us, bounds_us), "1")
  add_to(stats, counted, prefix .. "sum_us", math.max(0, us))
end

-- Counts a start. `since_us` is when the job joined the queue, nil if that is unknown; `last_slot_us`
-- the slot before this one.
local function count_start(stats, counted, type, is_first, since_us, slot_us, last_slot_us)
  add_to(stats, counted, "started:" .. type, "1")
  if not since_us then return end
  if is_first then observe(stats, counted, "waiting:" .. type .. ":", LONG_US, slot_us - since_us) end
  local waited_all_the_while = since_us <= last_slot_us
  if waited_all_the_while then observe(stats, counted, "gap::", GAP_US, slot_us - last_slot_us) end
end

-- Counts an end of an attempt. `late_us` is known if a worker saw the function being called.
local function count_end(entry)
  local stats, type = bucket_key(entry.bucket) .. ":stats", entry.counted_as
  try("HINCRBY", stats, entry.status .. ":" .. type, 1)
  if entry.late_us then
    observe(stats, nil, "late::", LATE_US, entry.late_us)
    observe(stats, nil, "run:" .. type .. ":", LONG_US, entry.now_us - entry.slot_us)
  end
end

-- The bounds of what is observed at an end.
local function end_bounds(late_us, run_us) return bound_of(late_us, LATE_US), bound_of(run_us, LONG_US) end
