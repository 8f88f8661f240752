-- requires: times, bucket, attempts, bucket_stats, job_end, lease_times, polling, result_log, job_moves, survey, failures, budgets, settlements
--[[
Give the jobs of silent workers back, and pick up what dead workers left undone.

ARGV[1] bucket       name
ARGV[2] worker       name of the one that reaps
ARGV[3] lease_ms     how far leases are extended after an outage, >= 1
ARGV[4] outage_threshold_ms  how long after the last contact of any worker the server counts as
                     having been away, >= 1
ARGV[5] max_reaps    a job reaped that often is abandoned, >= 1
ARGV[6] abandoned    one line: why
ARGV[7] trace        the same as RQ keeps a traceback (base64 of zlib)
ARGV[8] keep_s       how long a cancelled job is kept, >= 1
ARGV[9] fresh_ms     nothing is done if somebody reaped less than that ago; 0: whatever was done
ARGV[10] now_us      Unix time, or "" for the clock of Redis (only tests pass it)

Returns {lines, dependents, reaped, faults, more}: the lines that the worker must now write to its
result log, as alternating token and line; jobs whose dependents nobody released yet; how many were
reaped; a text for each thing that could not be read or done; 1 if there is more to do at once, or 0
]]
local name, worker = ARGV[1], ARGV[2]
local lease_ms, outage_threshold_ms, max_reaps = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local abandoned, trace, keep_s = ARGV[6], ARGV[7], tonumber(ARGV[8])
local fresh_us, now_us = tonumber(ARGV[9]) * 1000, clock_us(ARGV[10])
local key = bucket_key(name)
local REAPED_AT_ONCE, ADOPTED_AT_ONCE, FORGOTTEN_AT_ONCE, DEPENDENTS_AT_ONCE = 200, 200, 100, 50
local lines, faults = {}, {}
local ending = { now_us = now_us, started = true } -- nobody knows: the downstream may have counted it

local function tell(token, line)
  lines[#lines + 1] = token
  lines[#lines + 1] = line
end

local function judge(lease, fate, reaps)
  local silent = "worker " .. lease.worker .. " fell silent"
  if fate then return end_by(fate, silent) end
  if not lease.pool and reaps + 1 >= max_reaps then return "abandoned", abandoned end
  return "reaped", silent
end

local function arrive(lease, fate, status, error)
  if fate == "deleted" then return end
  if not end_unless_it_goes_on(lease, status, now_us, keep_s, error, trace) then
    to_head(lease.job, lease.queue, lease.slot_us)
  end
end

local function reap(lease)
  local fate, reaps = fate_of(lease)
  if fate == "left" then return leave_attempt(lease, fate, ending) end
  local status, error = judge(lease, fate, reaps)
  -- not under the token itself: the silent worker may still ask what became of its attempt
  local token = "reaped:" .. lease.token
  local entry = { now_us = now_us, job = lease.job, bucket = name, status = status,
    attempt = lease.attempt, worker = lease.worker, slot_us = lease.slot_us, error = error,
    token = token, owner = worker, known = lease.known }
  local line = log_line(entry)
  arrive(lease, fate, status, error)
  leave_attempt(lease, fate, ending)
  tell(token, line)
  count_end(entry)
  if FAILED[status] then note_failure(entry, "", trace, keep_s) end
  if status ~= "reaped" then return end
  if lease.pool then return suspect(lease.job) end
  add(RQ_JOB .. lease.job, "spigot_reaps", 1)
end

-- A lease that cannot be reaped now must not keep the others from it.
local function reap_or_put_off(token, lease)
  local done, fault = pcall(reap, lease)
  if done then return end
  faults[#faults + 1] = "lease " .. token .. ": " .. (type(fault) == "table" and fault.err or tostring(fault))
  redis.call("ZADD", key .. ":leases", "XX", ms(now_us) + lease_ms, token)
end

local function reap_expired()
  local expired = redis.call("ZRANGEBYSCORE", key .. ":leases", "-inf", ms(now_us), "LIMIT", 0, REAPED_AT_ONCE)
  for _, token in ipairs(expired) do
    local lease = read_lease(token)
    if lease then
      reap_or_put_off(token, lease)
    else
      redis.call("ZREM", key .. ":leases", token)
    end
  end
  return #expired - #faults
end

local function is_alive(owner)
  return (number(lenient("ZSCORE", key .. ":workers", owner)) or 0) >= ms(now_us)
end

-- Lines whose owner is no longer alive were perhaps written, perhaps not: write them again. What
-- is no line of ours is dropped.
local function adopt_lines()
  local unlogged = lenient("HRANDFIELD", key .. ":unlogged", ADOPTED_AT_ONCE, "WITHVALUES") or {}
  local adopted = 0
  for i = 1, #unlogged, 2 do
    local owner, line = string.match(unlogged[i + 1], "^([^\n]*)\n(.*)$")
    if not owner then
      redis.call("HDEL", key .. ":unlogged", unlogged[i])
      faults[#faults + 1] = "line " .. unlogged[i] .. ": it names no worker and was dropped"
    elseif owner ~= worker and not is_alive(owner) then
      redis.call("HSET", key .. ":unlogged", unlogged[i], worker .. "\n" .. line)
      tell(unlogged[i], line)
      adopted = adopted + 1
    end
  end
  return adopted > 0 and #unlogged == 2 * ADOPTED_AT_ONCE
end

local function survey_queues()
  local more = false
  for _, list in ipairs(queue_keys(name)) do
    more = survey(queue_name(list)) or more
  end
  return more
end

-- Jobs that plain RQ cancelled have no expiry: RQ would keep them for ever.
local function forget_cancelled(queue)
  local registry, until_s = "rq:canceled:" .. queue, math.floor(now_us / SECOND_US) - keep_s
  local ids = lenient("ZRANGEBYSCORE", registry, 0, until_s, "LIMIT", 0, FORGOTTEN_AT_ONCE) or {}
  for _, id in ipairs(ids) do
    if lenient("HGET", RQ_JOB .. id, "status") == "canceled" then redis.call("DEL", RQ_JOB .. id) end
    redis.call("ZREM", registry, id)
  end
end

-- Of pools that were killed. Few workers are pools.
local function forget_dead_pools()
  for _, pool in ipairs(lenient("HKEYS", key .. ":concurrency") or {}) do
    if not is_alive(pool) then redis.call("HDEL", key .. ":concurrency", pool) end
  end
end

-- What RQ's own clean-up would do, which may not run here: it fails jobs that are running.
local function trim_registries()
  lenient("ZREMRANGEBYSCORE", key .. ":workers", "-inf", "(" .. ms(now_us)) -- killed: they never left
  forget_dead_pools()
  for _, list in ipairs(queue_keys(name)) do
    local queue = queue_name(list)
    for _, registry in ipairs({ "rq:finished:", "rq:failed:" }) do
      lenient("ZREMRANGEBYSCORE", registry .. queue, 0, math.floor(now_us / SECOND_US))
    end
    forget_cancelled(queue)
  end
end

local reaped_us = number(redis.call("HGET", key, "reaped_us")) or 0
if reaped_us <= now_us and now_us - reaped_us < fresh_us then return { {}, {}, 0, {}, 0 } end
redis.call("HSET", key, "reaped_us", now_us)
extend_after_outage(name, now_us, lease_ms, outage_threshold_ms)
local reaped = reap_expired()
if reaped > 0 then wake(name) end
if has_budgets(name) then true_up_held(name, now_us) end
wake_if_unpolled(name, now_us)
local more_lines = adopt_lines()
local surveyed, found = pcall(survey_queues)
if not surveyed then faults[#faults + 1] = "places: " .. (type(found) == "table" and found.err or tostring(found)) end
local more = surveyed and found or more_lines
trim_registries()
local dependents = lenient("SRANDMEMBER", key .. ":dependents", DEPENDENTS_AT_ONCE) or {}
return { lines, dependents, reaped, faults, more and 1 or 0 }
