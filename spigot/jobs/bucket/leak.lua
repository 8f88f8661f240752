-- requires: times, bucket, attempts, bucket_stats, history, places, polling, job_moves, promotion, turns, reservations
--[[
Let one job leave the bucket for a worker, in the bucket's next slot.

KEYS[1] lease    hash {job, bucket, queue, worker, slot_us, attempt, budgets}; written here. If
                 it exists, the worker did not get the answer that it was given, and gets it again
KEYS[2…] queues  lists of RQ, most urgent first

ARGV[1] bucket      name
ARGV[2] worker      name
ARGV[3] token       of the attempt; also RQ's execution id
ARGV[4] lease_ms    how long the claim stands without renewal, >= 1
ARGV[5] alive_ms    how long the worker counts as alive from now on, >= 1
ARGV[6] rq_ttl_s    the same for RQ's record of the worker, >= 1
ARGV[7] now_us      Unix time, or "" for the clock of Redis (only tests pass it)
ARGV[8] concurrency how many jobs the worker runs at once, >= 1; with more than one it is a pool
ARGV[9] ahead_us    how long before its slot a job may be claimed, 1 to CLAIM_AHEAD_US
ARGV[10…] logged    tokens whose lines are now in a result log

Returns {"job", job id, queue name, slot_us, us until the slot, attempt, fields of the job},
        {"wait", us, jobs that wait}: ask again in `us`, for a slot: later would waste it, or
            because there is more to drop,
        {"poll", us, jobs that wait}: ask again in `us` or up to 100 ms later,
        {"sleep", 0, jobs that wait}: others poll the bucket, ask again after a wake-up,
        or {"unpublished"}: the bucket has no numbers yet, or a newer version's

The job is claimed ahead of its slot, so that the worker's way to it costs no time of the slot.
]]
local lease = KEYS[1]
local name, worker, token = ARGV[1], ARGV[2], ARGV[3]
local lease_ms, alive_ms, rq_ttl_s = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local now_us, concurrency, ahead_us = clock_us(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local key = bucket_key(name)
local leases = key .. ":leases"
local DROPPED_AT_ONCE = 100 -- entries that count as no job; with more of them the worker asks again
local FRESH_MS = 5000 -- a sign of life that is not older is not renewed

local queues = {}
for i = 2, #KEYS do queues[i - 1] = KEYS[i] end

local function note_alive()
  local workers, until_ms = key .. ":workers", ms(now_us) + alive_ms
  local known_ms = number(lenient("ZSCORE", workers, worker)) or 0
  if known_ms <= until_ms and known_ms > until_ms - FRESH_MS then return end
  lenient("ZADD", workers, until_ms, worker)
  if concurrency > 1 then lenient("HSET", key .. ":concurrency", worker, concurrency) end
  seen_by_rq(worker, now_us, rq_ttl_s)
end

local function read_waiting(id)
  local fields = lenient("HMGET", RQ_JOB .. id, "data", "status", "spigot_stop", "spigot_token",
    "spigot_attempts", "spigot_type", unpack(TIMES))
  if not fields or not counts(unpack(fields, 1, 4)) then return nil end
  return { id = id, attempts = number(fields[5]) or 0, type = fields[6] or "rq",
    since_us = joined_us(unpack(fields, 7, 9)) }
end

local has_blanks = blanks_in(queues) > 0

local function take_first(list)
  redis.call("LPOP", list)
  if has_blanks then
    move_head(queue_name(list), 1)
  else
    add(key, head_field(queue_name(list)), 1)
  end
end

local dropped = 0

-- Blank entries at the heads leave before a slot is asked for, which they would take time from.
local function drop_first_blanks()
  for _, list in ipairs(queues) do
    if dropped < DROPPED_AT_ONCE then
      dropped = dropped + drop_blanks(queue_name(list), DROPPED_AT_ONCE - dropped)
    end
  end
end

-- The first job that can be run, which is left where it is; entries that do not count are dropped.
local function first_of(queue)
  while dropped < DROPPED_AT_ONCE do
    local id = lenient("LINDEX", queue, 0)
    if not id then return nil end
    local job = read_waiting(id)
    if job then return job end
    take_first(queue)
    dropped = dropped + 1
  end
end

local function most_urgent(bucket)
  for _, queue in ipairs(turns(queues, bucket, token, now_us)) do
    local job = first_of(queue)
    if job then
      job.list, job.queue = queue, queue_name(queue)
      return job
    end
  end
end

local function claimed(id, queue, slot_us, attempt)
  local job = redis.call("HGETALL", RQ_JOB .. id)
  return { "job", id, queue, slot_us, math.max(0, slot_us - now_us), attempt, job }
end

-- RQ's own clean-up fails a started job whose time is over; this one never is: the lease is
-- what runs out.
local function show_to_rq(id, queue, slot_us)
  try("ZADD", "rq:wip:" .. queue, "+inf", id .. ":" .. token)
  try("ZADD", "rq:executions:" .. id, "+inf", token)
  try("HSET", "rq:execution:" .. id .. ":" .. token, "id", token,
    "created_at", slot_us / SECOND_US, "last_heartbeat", slot_us / SECOND_US, "worker_name", worker)
  if try("EXISTS", "rq:worker:" .. worker) == 1 then
    try("HSET", "rq:worker:" .. worker, "state", "busy", "current_job", id)
  end
end

-- Writes the lease, and what the job is while it runs. A lease without an entry would never end.
local function enter_attempt(id, queue, slot_us, attempt, charge)
  local job, slot_text = RQ_JOB .. id, utc_text(slot_us)
  redis.call("PERSIST", job)
  redis.call("ZADD", leases, ms(slot_us) + lease_ms, token)
  redis.call("HSET", lease, "job", id, "bucket", name, "queue", queue, "worker", worker,
    "slot_us", slot_us, "attempt", attempt, unpack(charge and { "budgets", charge_text(charge) } or {}))
  if concurrency > 1 then redis.call("HSET", lease, "pool", 1) end
  redis.call("HDEL", job, "spigot_returned_us", "spigot_due_us", "spigot_error", "spigot_progress")
  redis.call("HSET", job, "status", "started", "started_at", slot_text, "last_heartbeat", slot_text,
    "worker_name", worker, "spigot_token", token, "spigot_slot_us", slot_us, "spigot_attempts", attempt)
end

local function start(bucket, job, slot_us, arrival_ahead_us, waiting, charge)
  local attempt, cell = job.attempts + 1, cell_of(slot_us)
  local starts = starts_in(bucket, cell) + 1
  enter_attempt(job.id, job.queue, slot_us, attempt, charge)
  if charge then reserve(bucket, charge, slot_us) end
  redis.call("HSET", key, "last_slot_us", slot_us, "ahead_us", arrival_ahead_us, "paced_us", bucket.interval_us,
    "cell", cell, "cell_starts", starts, "cell_waiting", waiting)
  local answer = claimed(job.id, job.queue, slot_us, attempt)
  take_first(job.list)
  try("HSETNX", key, "heard_us", now_us) -- from now on a long time without contact is an outage
  show_to_rq(job.id, job.queue, slot_us)
  count_start(bucket, job.type, attempt, job.since_us, slot_us)
  write_cell(bucket, cell, starts, waiting, 0)
  job_changed(job.id)
  return answer
end

note_alive()
for i = 10, #ARGV do lenient("HDEL", key .. ":unlogged", ARGV[i]) end
local answered = read_lease(token)
if answered then
  return claimed(answered.job, answered.queue, answered.slot_us, answered.attempt)
end
local bucket = read_bucket(name)
if not bucket or is_newer(bucket) then return { "unpublished" } end

if bucket.last_slot_us > latest_slot_us(now_us) then -- or it would be waited for
  bucket.last_slot_us = latest_slot_us(now_us)
  redis.call("HSET", key, "last_slot_us", bucket.last_slot_us)
end
clear_wake_up(name)
local due_ms = promote(name, now_us)
if has_blanks then drop_first_blanks() end
local entries, waiting = entries_in(queues), waiting_in(queues)

local function wait_until(look_ms, slack_ms, standby_ms)
  if due_ms <= look_ms + slack_ms then look_ms, slack_ms = due_ms, 0 end
  local mine_ms, exact = choose_poller(bucket, worker, now_us, look_ms, slack_ms, standby_ms)
  if not mine_ms then return { "sleep", 0, waiting } end
  return { exact and "wait" or "poll", math.max(1, mine_ms - ms(now_us)) * 1000, waiting }
end

local function wait_for_slot(slot_us)
  return wait_until(ms(slot_us - ahead_us) + 1, 0, DEAD_MS)
end

-- No job can leave, and perhaps nobody wakes a worker for the next one that can. The pollers take
-- turns, so that together they look once every POLL_MS.
local function wait_for_push()
  return wait_until(ms(now_us) + POLL_MS, 2 * SERVER_LATE_MS, POLL_MS)
end

-- The first job waits for a budget, and all others with it: small ones would eat what refills.
local function wait_for_budget(ready_us)
  note_look(bucket, now_us, waiting, false)
  local is_soon = ready_us and ms(ready_us - ahead_us - now_us) < POLL_MS
  return is_soon and wait_for_slot(ready_us) or wait_for_push()
end

-- Should this worker not come back, another is woken.
local function ask_again()
  wake(name)
  return { "wait", 1, waiting_in(queues) }
end

if dropped >= DROPPED_AT_ONCE then return ask_again() end
local paused = bucket.paused == 1 or redis.call("EXISTS", "rq:suspended") == 1
local full = bucket.max_running > 0 and redis.call("ZCARD", leases) >= bucket.max_running
if paused or full or entries == 0 or probe_runs(bucket) then
  note_look(bucket, now_us, waiting, paused)
  return wait_for_push()
end

local slot_us, arrival_ahead_us = slot_of(bucket, now_us, 1)
if slot_us - now_us > ahead_us then
  note_look(bucket, now_us, waiting, false)
  return wait_for_slot(slot_us)
end

local job = most_urgent(bucket)
if not job and dropped >= DROPPED_AT_ONCE then return ask_again() end
if not job then
  waiting = waiting_in(queues)
  return wait_for_push()
end
local charge = bucket.budgets and charge_of(bucket, job, slot_us, now_us) or nil
if charge then
  local ready_us = charge.ready_us
  if not ready_us or ready_us - now_us > ahead_us then return wait_for_budget(ready_us) end
  slot_us, arrival_ahead_us = ready_us, math.max(0, slot_us + arrival_ahead_us - ready_us)
end
if bucket.probing == 1 then redis.call("HSET", key, "probe_token", token) end
local answer = start(bucket, job, slot_us, arrival_ahead_us, math.max(0, waiting - 1), charge)
hand_over_polling(name, worker, waiting_in(queues) > 0)
return answer
