-- requires: times, bucket, history
--[[
Functions that judge a downstream's refusals: how long the bucket holds, and whose fault it is.

A job that was refused SUSPECTED times running is a suspect: it waits aside, and another job of
the bucket, its witness, goes instead (turns.lua). Only attempts whose slot lies after the job's last refusal
tell anything of it: one that was not refused proves it guilty (`passed_slot_us`), and one that was
refused too proves it innocent (`refusing_slot_us`); both are compared when the job's turn comes,
so that no suspect has to be found. A guilty job goes to the end of its queue and holds the bucket
no more, as long as others pass; refused too often, it fails. All others come back in the order in
which they left first.
]]
local SUSPECTED = 3
local LONGEST_US = { wait = 300 * SECOND_US, quota = 3600 * SECOND_US } -- where none was stated

local REFUSALS = { "spigot_refusals", "spigot_refused_us", "spigot_set_back", "spigot_first_slot_us" }
local JUDGED = { REFUSALS[1], REFUSALS[2], REFUSALS[3], REFUSALS[4], "spigot_refused_starts" }
local START_BYTES, SHOWN_STARTS = 51, 8

-- Takes the fields REFUSALS of a job.
local function read_refusals(job)
  return { count = number(job[1]) or 0, last_us = number(job[2]) or 0, set_back = job[3],
    first_slot_us = number(job[4]) }
end

-- A time that lies ahead was written before the server's clock was set back, and tells nothing.
local function forget_the_future(bucket, now_us)
  for _, field in ipairs({ "refused_us", "refusing_slot_us", "passed_slot_us" }) do
    if bucket[field] > latest_slot_us(now_us) then bucket[field] = 0 end
  end
end

-- nil while it may go like any other job.
local function verdict_on(refusals, bucket)
  if refusals.count < SUSPECTED then return nil end
  if bucket.passed_slot_us > refusals.last_us then return "guilty" end
  return bucket.refusing_slot_us > refusals.last_us and "innocent" or "open"
end

-- An attempt ended and was not refused: its job is no suspect, and the downstream serves.
local function note_pass(lease, now_us)
  local key = bucket_key(lease.bucket)
  local known = try("HMGET", key, "refused_us", "passed_slot_us") or {}
  local refused_us, passed_us = number(known[1]), number(known[2]) or 0
  if not refused_us then return end
  if refused_us > now_us then refused_us = 0 end -- the clock was set back
  try("HDEL", RQ_JOB .. lease.job, unpack(REFUSALS))
  if lease.slot_us <= passed_us and passed_us <= latest_slot_us(now_us) then return end
  try("HSET", key, "passed_slot_us", lease.slot_us)
  if lease.slot_us > refused_us then
    try("HDEL", key, "probing", "probe_token", "hold_level")
    wake(lease.bucket)
  end
end

-- How often the hold was doubled. Refusals of attempts that ran at the last one say nothing new.
local function level_of(bucket, lease, kind, was_suspect)
  local known = redis.call("HMGET", bucket_key(bucket.name), "hold_level", "hold_kind", "refused_job")
  if bucket.passed_slot_us > bucket.refused_us or known[2] ~= kind then return 0 end
  local level = tonumber(known[1]) or 0
  local is_new = lease.slot_us > bucket.refused_us
  local is_upstreams = kind == "quota" or was_suspect or known[3] ~= lease.job
  return is_new and is_upstreams and level + 1 or level
end

-- A shorter hold never ends a longer one, and none is shorter than an interval. A downstream that
-- does not say how long is asked with one job at a time, later and later. Returns until when the
-- bucket is held.
local function hold(bucket, lease, refusal, now_us, was_suspect)
  local key, level = bucket_key(bucket.name), level_of(bucket, lease, refusal.kind, was_suspect)
  local wait_us = refusal.wait_us
  if not refusal.stated then
    wait_us = math.min(wait_us * 2 ^ math.min(level, 20), LONGEST_US[refusal.kind])
    if refusal.kind == "quota" or level > 0 then redis.call("HSET", key, "probing", 1) end
  end
  local until_us = now_us + math.max(wait_us, bucket.interval_us)
  if until_us > bucket.held_until_us then
    redis.call("HSET", key, "held_until_us", string.format("%d", until_us), "hold_reason", refusal.reason,
      "hold_kind", refusal.kind, "hold_level", level)
    note_hold(bucket, now_us, until_us)
    try("PUBLISH", HOLDS, bucket.name) -- those who have claimed a job must not start it
  end
  redis.call("HDEL", key, "probe_token")
  redis.call("HSET", key, "refused_us", now_us, "refused_job", lease.job,
    "refusing_slot_us", math.max(bucket.refusing_slot_us, lease.slot_us))
  return math.max(until_us, bucket.held_until_us)
end

-- Of a job that was cancelled or deleted meanwhile: what the downstream said counts all the same.
local function hold_for(lease, refusal, now_us)
  local bucket = read_bucket(lease.bucket)
  if not bucket then return end
  forget_the_future(bucket, now_us)
  hold(bucket, lease, refusal, now_us, false)
end

-- For the job's page: its last refused starts, of which each has the same length: when it started
-- and ended, and until when its bucket was held then.
local function with_start(starts, lease, now_us, held_until_us)
  local latest = string.format("%16d %16d %16d\n", lease.slot_us, now_us, held_until_us)
  return string.sub(starts or "", (1 - SHOWN_STARTS) * START_BYTES) .. latest
end

-- Decides what becomes of the job, which is in `follows`: "again", "set_back" or "refused". Holds
-- the bucket, and writes nothing else, so that it may be done again. `refusal` has kind, wait_us,
-- stated, reason, and max, which is how often a guilty job may be refused.
local function judge_refusal(lease, refusal, now_us)
  local bucket = read_bucket(lease.bucket)
  if not bucket then return { follows = "again" } end -- the server was emptied
  forget_the_future(bucket, now_us)
  local job = redis.call("HMGET", RQ_JOB .. lease.job, unpack(JUDGED))
  local before = read_refusals(job)
  before.last_us = math.min(before.last_us, now_us)
  local others_pass = before.count > 0 and bucket.passed_slot_us > before.last_us
  local refused, set_back, held_until_us = before.count + 1, before.set_back, 0
  if others_pass and refused >= SUSPECTED then
    set_back = "1"
  else
    held_until_us = hold(bucket, lease, refusal, now_us, before.count >= SUSPECTED)
    if verdict_on(before, bucket) == "innocent" then set_back = nil end
    if not set_back then refused = math.min(refused, SUSPECTED) end -- nobody spoke against it
  end
  if set_back and refused >= refusal.max then return { follows = "refused" } end
  return { follows = set_back and "set_back" or "again", count = refused,
    starts = with_start(job[5], lease, now_us, held_until_us),
    first_slot_us = not set_back and (before.first_slot_us or lease.slot_us) or nil }
end

-- After the move: what is done again when a script failed half-way must not count again.
local function count_refusal(lease, judged, now_us)
  if not judged.count then return end
  local job = RQ_JOB .. lease.job
  if judged.follows == "set_back" then
    try("HSET", job, "spigot_refusals", judged.count, "spigot_refused_us", now_us,
      "spigot_refused_starts", judged.starts, "spigot_set_back", 1)
    try("HDEL", job, "spigot_first_slot_us", "spigot_returned_us")
  else
    try("HSET", job, "spigot_refusals", judged.count, "spigot_refused_us", now_us,
      "spigot_refused_starts", judged.starts, "spigot_first_slot_us", judged.first_slot_us)
    try("HDEL", job, "spigot_set_back")
  end
  if judged.count >= SUSPECTED then try("HSET", bucket_key(lease.bucket), "suspected_us", now_us) end
end
