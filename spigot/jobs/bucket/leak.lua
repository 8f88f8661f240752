-- requires: times, bucket, clock, attempts, bucket_stats, history, places, polling, job_moves, promotion, turns, reservations
-- rarely: set_clock_back, promote_due, choose_poller, read_lease, drop_blanks, move_head, turns, is_probed, charge_of, charge_text, charge_told, reserve, note_look, seen_by_rq, utc_us, blanks_in
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

Returns {"job", job id, queue name, slot_us, us until the slot, attempt, fields of the job, and in
            a bucket with budgets what `charge_told` in reservations.lua adds to them},
        {"wait", us, jobs that wait, us since leases were looked through}: ask again in `us`, for a
            slot: later would waste it, or because there is more to drop,
        {"poll", the same three}: ask again in `us` or up to 100 ms later,
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
local FRESH_MS = 9000 -- a sign of life that is not older is not renewed

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
  local hash, known = lenient("HGETALL", RQ_JOB .. id), {}
  for i = 1, hash and #hash or 0, 2 do known[hash[i]] = hash[i + 1] end
  if not counts(known.data, known.status, known.spigot_stop, known.spigot_token) then return nil end
  return { id = id, hash = hash, known = known, attempts = number(known.spigot_attempts) or 0,
    type = known.spigot_type or "rq", since_us = joined_us(known) }
end

local has_blanks = has_blank_entries(queues)

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
  for _, queue in ipairs(bucket.suspected_us > 0 and turns(queues, bucket, token, now_us) or queues) do
    local job = first_of(queue)
    if job then
      job.list, job.queue = queue, queue_name(queue)
      return job
    end
  end
end

local function claimed(id, queue, slot_us, attempt, hash)
  return { "job", id, queue, slot_us, math.max(0, slot_us - now_us), attempt, hash }
end

-- RQ's own clean-up fails a started job whose time is over; this one never is: the lease is
-- what runs out.
local function show_to_rq(id, queue, slot_us)
  try("ZADD", "rq:wip:" .. queue, "+inf", id .. ":" .. token)
  try("ZADD", "rq:executions:" .. id, "+inf", token)
  try("HSET", "rq:execution:" .. id .. ":" .. token, "id", token,
    "created_at", slot_us / SECOND_US, "last_heartbeat", slot_us / SECOND_US, "worker_name", worker)
  local added = try("HSET", "rq:worker:" .. worker, "state", "busy", "current_job", id)
  if added == 2 then try("DEL", "rq:worker:" .. worker) end -- there is no record of the worker
end

-- Writes the lease, and what the job is while it runs. A lease without an entry would never end.
-- Returns the job's hash as it is now.
local function enter_attempt(job, slot_us, attempt, charge)
  local key_of_job, slot_text, known, hash = RQ_JOB .. job.id, utc_text(slot_us), job.known, job.hash
  redis.call("PERSIST", key_of_job)
  redis.call("ZADD", leases, ms(slot_us) + lease_ms, token)
  redis.call("HSET", lease, "job", job.id, "bucket", name, "queue", job.queue, "worker", worker,
    "slot_us", slot_us, "attempt", attempt, unpack(charge and { "budgets", charge_text(charge) } or {}))
  if concurrency > 1 then redis.call("HSET", lease, "pool", 1) end
  if known.spigot_returned_us or known.spigot_due_us or known.spigot_error or known.spigot_progress then
    redis.call("HDEL", key_of_job, "spigot_returned_us", "spigot_due_us", "spigot_error", "spigot_progress")
  end
  local entered = { "status", "started", "started_at", slot_text, "last_heartbeat", slot_text,
    "worker_name", worker, "spigot_token", token, "spigot_slot_us", slot_us, "spigot_attempts", attempt,
    "spigot_revision", (number(known.spigot_revision) or 0) + 1 }
  redis.call("HSET", key_of_job, unpack(entered))
  for i = 1, #entered do hash[#hash + 1] = entered[i] end
  return hash
end

local function start(bucket, job, slot_us, arrival_ahead_us, waiting, charge)
  local attempt, cell = job.attempts + 1, cell_of(slot_us)
  local starts = starts_in(bucket, cell) + 1
  local hash = enter_attempt(job, slot_us, attempt, charge)
  if charge then
    charge_told(hash, bucket, charge, slot_us)
    reserve(bucket, charge, slot_us)
  end
  redis.call("HSET", key, "last_slot_us", slot_us, "ahead_us", arrival_ahead_us, "paced_us", bucket.interval_us,
    "clock_us", now_us, "cell", cell, "cell_starts", starts, "cell_waiting", waiting)
  take_first(job.list)
  if bucket.heard_us == 0 then try("HSET", key, "heard_us", now_us) end -- from now on silence is an outage
  show_to_rq(job.id, job.queue, slot_us)
  count_start(bucket, job.type, attempt, job.since_us, slot_us)
  write_cell(bucket, cell, starts, waiting, 0)
  try("PUBLISH", EVENTS, job.id)
  return claimed(job.id, job.queue, slot_us, attempt, hash)
end

note_alive()
for i = 10, #ARGV do lenient("HDEL", key .. ":unlogged", ARGV[i]) end
local answered = is_running(token) and read_lease(token)
if answered then
  local hash = redis.call("HGETALL", RQ_JOB .. answered.job)
  if answered.budgets then
    for _, value in ipairs({ "reserved", answered.budgets, "budgets", try("HGET", key, "budgets") or "" }) do
      hash[#hash + 1] = value
    end
  end
  return claimed(answered.job, answered.queue, answered.slot_us, answered.attempt, hash)
end
local READ = { "suspected_us", "probing", "heard_us", "reaped_us", "clock_us", "alone_ms", "cell", "cell_starts", "cell_waiting" }
local bucket = read_numbers(name, READ)
if not bucket or is_newer(bucket) then return { "unpublished" } end

if was_set_back(bucket.clock_us, now_us) then
  set_clock_back(name, bucket.clock_us, now_us)
  note_alive()
  bucket = read_numbers(name, READ)
end
if bucket.last_slot_us > latest_slot_us(now_us) then -- or it would be waited for
  bucket.last_slot_us = latest_slot_us(now_us)
  redis.call("HSET", key, "last_slot_us", bucket.last_slot_us)
end
clear_wake_up(name)
local due_ms = promote(name, now_us)
if has_blanks then drop_first_blanks() end
local entries = entries_in(queues)
local waiting = has_blanks and math.max(0, entries - blanks_in(queues)) or entries

local function wait_until(look_ms, slack_ms, standby_ms)
  if due_ms <= look_ms + slack_ms then look_ms, slack_ms = due_ms, 0 end
  local mine_ms, exact = choose_poller(bucket, worker, now_us, look_ms, slack_ms, standby_ms)
  if not mine_ms then return { "sleep", 0, waiting } end
  local wait_us = math.max(1, mine_ms - ms(now_us)) * 1000
  return { exact and "wait" or "poll", wait_us, waiting, math.max(0, now_us - bucket.reaped_us) }
end

local function wait_for_slot(slot_us)
  return wait_until(ms(slot_us - ahead_us) + 1, 0, DEAD_MS)
end

-- No job can leave, and perhaps nobody wakes a worker for the next one that can. The pollers take
-- turns, so that together they look once every POLL_MS.
local function wait_for_push()
  return wait_until(ms(now_us) + POLL_MS, 2 * SERVER_LATE_MS, POLL_MS)
end

-- The first job waits for a budget, and all others with it: small ones would eat what refills. No
-- look that may be late goes past the moment when there is enough.
local function wait_for_budget(ready_us)
  note_look(bucket, now_us, waiting, false)
  if ready_us then due_ms = math.min(due_ms, ms(ready_us - ahead_us) + 1) end
  return wait_for_push()
end

-- Should this worker not come back, another is woken.
local function ask_again()
  wake(name)
  return { "wait", 1, waiting_in(queues), 0 }
end

if dropped >= DROPPED_AT_ONCE then return ask_again() end
local paused = bucket.paused == 1 or redis.call("EXISTS", "rq:suspended") == 1
local full = bucket.max_running > 0 and redis.call("ZCARD", leases) >= bucket.max_running
if paused or full or entries == 0 or (bucket.probing == 1 and is_probed(bucket)) then
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
local is_counted = dropped == 0 and not has_blanks
hand_over_polling(name, worker, (is_counted and waiting - 1 or waiting_in(queues)) > 0)
return answer
