-- requires: times, bucket, clock, promotion, polling
--[[
Look at a bucket for a worker that waits for a wake-up: it costs less than to ask for a job.

KEYS[1…] queues  lists of RQ that the worker takes jobs from

ARGV[1] bucket   name
ARGV[2] worker   name
ARGV[3] polls    1 if it is poller or standby, 0 if it sleeps
ARGV[4] now_us   Unix time, or "" for the clock of Redis (only tests pass it)

Returns {us, state, must_reap}: us until it is to look again, 0 if it is to ask the bucket now, -1 if
it may sleep on; what RQ's record says of it, "" if that is gone; 1 if leases are to be looked through
]]
local queues, name, worker = KEYS, ARGV[1], ARGV[2]
local polls, now_us = ARGV[3] == "1", clock_us(ARGV[4])
local key = bucket_key(name)
local QUIET_US = 3 * SECOND_US -- the shortest that may be an outage: LEAST_OUTAGE_MS in lease_terms.py
local REAP_US, REAP_IDLE_US = 1500000, 30 * SECOND_US -- with what others left undone, and without

local known = lenient("HMGET", "rq:worker:" .. worker, "birth", "state") or {}
local state = known[1] and (known[2] or "unknown") or ""

if not polls then return { pollers_alive(name, now_us) > 0 and -1 or 0, state, 0 } end

local bucket = read_numbers(name, { "alone_ms", "clock_us", "heard_us", "reaped_us", "delayed_back_ms" })
if not bucket or is_newer(bucket) or was_set_back(bucket.clock_us, now_us) or bucket.delayed_back_ms > 0 then
  return { 0, state, 0 }
end

local entries = entries_in(queues)

local function may_leave()
  if entries == 0 or bucket.paused == 1 or redis.call("EXISTS", "rq:suspended") == 1 then return false end
  return bucket.max_running == 0 or redis.call("ZCARD", key .. ":leases") < bucket.max_running
end

-- After a long silence only a reap may take note of this contact: it extends the leases first.
local function note_contact()
  if bucket.heard_us > 0 and now_us - bucket.heard_us > QUIET_US then return false end
  redis.call("HSET", key, "heard_us", now_us, "clock_us", now_us)
  return true
end

local function must_reap()
  local since_us = now_us - bucket.reaped_us
  if not note_contact() or since_us < 0 or since_us > REAP_IDLE_US then return true end
  local first_ms = math.min(first_score(key .. ":leases"), first_score(key .. ":workers"))
  if first_ms < ms(now_us) then return true end
  if since_us <= REAP_US then return false end
  return entries > 0 or redis.call("EXISTS", key .. ":unlogged", key .. ":dependents") > 0
end

local due_ms = next_due_ms(name)
if due_ms <= ms(now_us) or may_leave() then return { 0, state, 0 } end
local look_ms = choose_poller(bucket, worker, now_us, math.min(due_ms, ms(now_us) + LOOK_MS),
  SERVER_LATE_MS, LOOK_MS - SERVER_LATE_MS)
if not look_ms then return { 0, state, 0 } end
return { math.max(1, look_ms - ms(now_us)) * 1000, state, must_reap() and 1 or 0 }
