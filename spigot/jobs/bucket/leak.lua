-- requires: times, bucket, clock, attempts, bucket_stats, history, places, polling, promotion, queue_heads, turns, reservations
-- rarely: note_alive, read_lease, set_clock_back, promote, has_blank_entries, drop_first_blanks, blanks_in, ask_again, note_look, is_probed, wait_for_push, wait_for_slot, wait_for_budget, turns, first_that_counts, charge_of, charge_text, charge_told, reserve, take_first, utc_us, waiting_in
--[[
Let one job leave the bucket for a worker, in the bucket's next slot.

KEYS[1] lease    hash {job, bucket, queue, worker, slot_us, attempt, budgets}; written here. If
                 it exists, the worker did not get the answer that it was given, and gets it again
KEYS[2…] queues  lists of RQ, most urgent first

ARGV[1] bucket      name
ARGV[2] worker      name
ARGV[3] token       of the attempt
ARGV[4] lease_ms    how long the claim stands without renewal, >= 1
ARGV[5] alive_ms    how long the worker counts as alive from now on, >= 1
ARGV[6] rq_ttl_s    the same for RQ's record of the worker, >= 1
ARGV[7] now_us      Unix time, or "" for the clock of Redis (only tests pass it)
ARGV[8] concurrency how many jobs the worker runs at once, >= 1; with more than one it is a pool
ARGV[9] ahead_us    how long before its slot a job may be claimed, 1 to CLAIM_AHEAD_US
ARGV[10…] logged    tokens whose lines are now in a result log

Returns {"job", job id, queue name, slot_us, us until the slot, attempt, fields of the job as it
            waited, and in a bucket with budgets what `charge_told` in reservations.lua adds to them},
        {"wait", us, jobs that wait, us since leases were looked through}: ask again in `us`, for a
            slot: later would waste it, or because there is more to drop,
        {"poll", the same three}: ask again in `us` or up to 100 ms later,
        {"sleep", 0, jobs that wait}: others poll the bucket, ask again after a wake-up,
        or {"unpublished"}: the bucket has no numbers yet, or a newer version's

The job is claimed ahead of its slot, so that the worker's way to it costs no time of the slot.
]]
local lease, name, worker, token = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local now_us, concurrency, ahead_us = clock_us(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local key, queues = bucket_key(name), { unpack(KEYS, 2) }
local leases, alive_ms = key .. ":leases", tonumber(ARGV[5])

-- 1. The worker's news: it lives, and it has logged what ended.

local alive_until_ms = lenient("ZSCORE", key .. ":workers", worker)
if not is_fresh(alive_until_ms, now_us, alive_ms) then
  note_alive(name, worker, now_us, alive_ms, concurrency, ARGV[6])
end
for i = 10, #ARGV do lenient("HDEL", key .. ":unlogged", ARGV[i]) end

-- 2. Read the bucket. Some keys are seldom there: a lease that was asked for before, jobs that wait
-- for a time, blank entries.

local scheduled = "rq:scheduled:" .. name
local seldom = { lease, "rq:suspended", key .. ":delayed", scheduled .. "-high", scheduled, scheduled .. "-low" }
for i = 1, #queues do seldom[6 + i] = blanks_key(queue_name(queues[i])) end
local is_usual = redis.call("EXISTS", unpack(seldom)) == 0
local answered = not is_usual and is_running(token) and read_lease(token)
if answered then
  local hash = redis.call("HGETALL", RQ_JOB .. answered.job)
  if answered.budgets then
    for _, value in ipairs({ "reserved", answered.budgets, "budgets", try("HGET", key, "budgets") or "" }) do
      hash[#hash + 1] = value
    end
  end
  local slot_us = answered.slot_us
  return { "job", answered.job, answered.queue, slot_us, math.max(0, slot_us - now_us), answered.attempt, hash }
end

local READ = { "suspected_us", "probing", "heard_us", "reaped_us", "clock_us", "alone_ms", "cell", "cell_starts", "cell_waiting" }
local bucket = read_numbers(name, READ)
if not bucket or is_newer(bucket) then return { "unpublished" } end
if bucket.clock_us - now_us > SET_BACK_US then
  set_clock_back(name, bucket.clock_us, now_us)
  note_alive(name, worker, now_us, alive_ms, concurrency, ARGV[6])
  bucket = read_numbers(name, READ)
end
if bucket.last_slot_us > now_us + CLAIM_AHEAD_US then -- or it would be waited for
  bucket.last_slot_us = now_us + CLAIM_AHEAD_US
  redis.call("HSET", key, "last_slot_us", bucket.last_slot_us)
end

local due_ms, has_blanks, dropped = math.huge, false, 0
if not is_usual then
  due_ms, has_blanks = promote(name, now_us), has_blank_entries(queues)
  if has_blanks then dropped = drop_first_blanks(queues) end
end
local entries, first = 0, nil
for i = 1, #queues do
  local length = lenient("LLEN", queues[i]) or 0
  if length > 0 then
    entries, first = entries + length, first or queues[i]
  end
end
local waiting = has_blanks and math.max(0, entries - blanks_in(queues)) or entries

-- 3. Decide whether a job can leave now.

if dropped >= DROPPED_AT_ONCE then return ask_again(name, queues) end
local look = { bucket = bucket, worker = worker, now_us = now_us, ahead_us = ahead_us, due_ms = due_ms, waiting = waiting }
local paused = bucket.paused == 1 or not is_usual and redis.call("EXISTS", "rq:suspended") == 1
local full = bucket.max_running > 0 and redis.call("ZCARD", leases) >= bucket.max_running
if paused or full or entries == 0 or (bucket.probing == 1 and is_probed(bucket)) then
  note_look(bucket, now_us, waiting, paused)
  return wait_for_push(look)
end

local slot_us, arrival_ahead_us = slot_of(bucket, now_us, 1)
if slot_us - now_us > ahead_us then
  note_look(bucket, now_us, waiting, false)
  return wait_for_slot(look, slot_us)
end

local job = bucket.suspected_us == 0 and read_waiting(first, lenient("LINDEX", first, 0))
if not job then
  local lists = bucket.suspected_us > 0 and turns(queues, bucket, token, now_us) or queues
  job, dropped = first_that_counts(lists, dropped)
  if not job and dropped >= DROPPED_AT_ONCE then return ask_again(name, queues) end
  if not job then
    look.waiting = waiting_in(queues)
    return wait_for_push(look)
  end
end

local charge = bucket.budgets and charge_of(bucket, job, slot_us, now_us) or nil
if charge then
  local ready_us = charge.ready_us
  if not ready_us or ready_us - now_us > ahead_us then
    note_look(bucket, now_us, waiting, false)
    return wait_for_budget(look, ready_us)
  end
  slot_us, arrival_ahead_us = ready_us, math.max(0, slot_us + arrival_ahead_us - ready_us)
end

-- 4. Arrive: the lease, and what the job is while it runs. A lease without an entry would never end.

local id, queue, known, hash = job.id, queue_name(job.list), job.known, job.hash
local key_of_job, slot_text, attempt = RQ_JOB .. id, utc_text(slot_us), job.attempts + 1
if bucket.probing == 1 then redis.call("HSET", key, "probe_token", token) end
redis.call("PERSIST", key_of_job)
redis.call("ZADD", leases, ms(slot_us) + ARGV[4], token)
redis.call("HSET", lease, "job", id, "bucket", name, "queue", queue, "worker", worker,
  "slot_us", slot_us, "attempt", attempt)
if concurrency > 1 then redis.call("HSET", lease, "pool", 1) end
if charge then redis.call("HSET", lease, "budgets", charge_text(charge)) end
if known.spigot_returned_us or known.spigot_due_us or known.spigot_error or known.spigot_progress then
  redis.call("HDEL", key_of_job, "spigot_returned_us", "spigot_due_us", "spigot_error", "spigot_progress")
end
redis.call("HSET", key_of_job, "status", "started", "started_at", slot_text, "last_heartbeat", slot_text,
  "worker_name", worker, "spigot_token", token, "spigot_slot_us", slot_us, "spigot_attempts", attempt,
  "spigot_revision", (number(known.spigot_revision) or 0) + 1)
if charge then
  charge_told(hash, bucket, charge, slot_us)
  reserve(bucket, charge, slot_us)
end

-- 5. Leave the queue.

local cell, left = cell_of(slot_us), math.max(0, waiting - 1)
local starts = starts_in(bucket, cell) + 1
redis.call("HSET", key, "last_slot_us", slot_us, "ahead_us", arrival_ahead_us, "paced_us", bucket.interval_us,
  "clock_us", now_us, "cell", cell, "cell_starts", starts, "cell_waiting", left)
if has_blanks then
  take_first(job.list)
else
  redis.call("LPOP", job.list)
  add(key, head_field(queue), 1)
end

-- 6. Tell. RQ's own clean-up fails a started job whose time is over; this one never is: the lease is
-- what runs out.

if bucket.heard_us == 0 then try("HSET", key, "heard_us", now_us) end -- from now on silence is an outage
try("ZADD", "rq:wip:" .. queue, "+inf", id .. ":" .. token)
local added = try("HSET", "rq:worker:" .. worker, "state", "busy", "current_job", id)
if added == 2 then try("DEL", "rq:worker:" .. worker) end -- there is no record of the worker
count_start(bucket, known.spigot_type or "rq", attempt, joined_us(known), slot_us)
write_cell(bucket, cell, starts, left, 0)
try("PUBLISH", EVENTS, id)
if dropped > 0 or has_blanks then left = waiting_in(queues) end
hand_over_polling(name, worker, left > 0)
return { "job", id, queue, slot_us, math.max(0, slot_us - now_us), attempt, hash }
