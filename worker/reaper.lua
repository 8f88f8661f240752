--[[
Give the jobs of silent workers back, and pick up what dead workers left undone.

ARGV[1] bucket       name
ARGV[2] worker       name of the one that reaps
ARGV[3] lease_ms     how far leases are extended after a silence, >= 1
ARGV[4] silence_ms   how long nobody may have been heard, >= 1
ARGV[5] max_reaps    a job reaped that often is abandoned, >= 1
ARGV[6] abandoned    one line: why
ARGV[7] trace        the same as RQ keeps a traceback (base64 of zlib)
ARGV[8] keep_s       how long a cancelled job is kept, >= 1
ARGV[9] fresh_ms     nothing is done if somebody reaped less than that ago; 0: whatever was done
ARGV[10] now_us      Unix time, or "" for the clock of Redis (only tests pass it)

Returns {lines, dependents, reaped}: the lines that the worker must now write to its result log,
as token and line by turns; jobs whose dependents nobody released yet; how many were reaped
]]
local name, worker = ARGV[1], ARGV[2]
local lease_ms, silence_ms, max_reaps = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local abandoned, trace, keep_s = ARGV[6], ARGV[7], tonumber(ARGV[8])
local fresh_us, now_us = tonumber(ARGV[9]) * 1000, clock_us(ARGV[10])
local key = bucket_key(name)
local REAPED_AT_ONCE, ADOPTED_AT_ONCE, FORGOTTEN_AT_ONCE, DEPENDENTS_AT_ONCE = 200, 50, 100, 50
local lines = {}

local function tell(token, line)
  lines[#lines + 1] = token
  lines[#lines + 1] = line
end

local function judge(lease)
  local taken, silent = taken_away(lease.job), "worker " .. lease.worker .. " fell silent"
  if taken == "deleted" then return taken, "cancelled", "Deleted: while it ran" end
  if taken then return taken, taken, "Cancelled: " .. silent end
  if count_reap(lease.job) >= max_reaps then return nil, "abandoned", abandoned end
  return nil, "reaped", silent
end

local function reap(lease)
  local taken, status, error = judge(lease)
  -- not under the token itself: the silent worker may still ask what became of its attempt
  local token = "reaped:" .. lease.token
  tell(token, log_line({ now_us = now_us, job = lease.job, bucket = name, status = status,
    attempt = lease.attempt, worker = lease.worker, slot_us = lease.slot_us, error = error,
    token = token, owner = worker }))
  close_attempt(lease)
  if taken == "deleted" then return end
  if status == "cancelled" then
    cancel_job(lease.job, lease.queue, now_us, keep_s, error)
  elseif status == "abandoned" then
    fail_job(lease, now_us, error, trace)
  else
    to_head(lease.job, lease.queue, lease.slot_us)
  end
end

local function reap_expired()
  local expired = redis.call("ZRANGEBYSCORE", key .. ":leases", "-inf", ms(now_us), "LIMIT", 0, REAPED_AT_ONCE)
  for _, token in ipairs(expired) do
    local lease = read_lease(token)
    if lease then reap(lease) else redis.call("ZREM", key .. ":leases", token) end
  end
  return #expired
end

-- Lines whose owner is no longer alive were perhaps written, perhaps not: write them again.
local function adopt_lines()
  local unlogged = redis.call("HRANDFIELD", key .. ":unlogged", ADOPTED_AT_ONCE, "WITHVALUES")
  for i = 1, #unlogged, 2 do
    local owner, line = string.match(unlogged[i + 1], "^([^\n]*)\n(.*)$")
    local alive_ms = tonumber(redis.call("ZSCORE", key .. ":workers", owner) or nil) or 0
    if owner ~= worker and alive_ms < ms(now_us) then
      redis.call("HSET", key .. ":unlogged", unlogged[i], worker .. "\n" .. line)
      tell(unlogged[i], line)
    end
  end
end

-- Jobs that plain RQ cancelled have no expiry: RQ would keep them for ever.
local function forget_cancelled(queue)
  local registry, until_s = "rq:canceled:" .. queue, math.floor(now_us / SECOND_US) - keep_s
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", registry, 0, until_s, "LIMIT", 0, FORGOTTEN_AT_ONCE)) do
    if redis.call("HGET", RQ_JOB .. id, "status") == "canceled" then redis.call("DEL", RQ_JOB .. id) end
    redis.call("ZREM", registry, id)
  end
end

-- What RQ's own clean-up would do, which may not run here: it fails jobs that are running.
local function trim_registries()
  for _, list in ipairs(queue_keys(name)) do
    local queue = string.sub(list, #RQ_QUEUE + 1)
    for _, registry in ipairs({ "rq:finished:", "rq:failed:" }) do
      redis.call("ZREMRANGEBYSCORE", registry .. queue, 0, math.floor(now_us / SECOND_US))
    end
    forget_cancelled(queue)
  end
end

local reaped_us = tonumber(redis.call("HGET", key, "reaped_us")) or 0
if reaped_us <= now_us and now_us - reaped_us < fresh_us then return { {}, {}, 0 } end
redis.call("HSET", key, "reaped_us", now_us)
extend_after_silence(name, now_us, lease_ms, silence_ms)
local reaped = reap_expired()
if reaped > 0 then ring(name) end
ring_if_unwatched(name, now_us)
adopt_lines()
trim_registries()
local dependents = redis.call("SRANDMEMBER", key .. ":dependents", DEPENDENTS_AT_ONCE)
return { lines, dependents, reaped }
