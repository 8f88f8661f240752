-- requires: times, bucket, clock, attempts, bucket_stats, history, places, polling, promotion, queue_heads, turns, reservations
-- rarely: note_alive, lenient, number, filled_of, tell_again, read_for_start, is_newer, set_clock_back, promote, has_blank_entries, drop_first_blanks, blanks_in, ask_again, note_look, is_probed, wait_for_push, wait_for_slot, wait_for_budget, turns, first_that_counts, read_waiting, first_entries, charge_of, charge_text, charge_told, reserve, take_first, utc_text, joined_us, begin_cell, add, head_field, wake_standby, waiting_in
--[[
Let jobs leave the bucket for a worker, each in the bucket's next slot: as many as there are leases
for, or until one that is to wait.

KEYS[1] lease    hash {job, bucket, queue, worker, slot_us, attempt, budgets}; written here. If
                 it exists, the worker did not get the answer that it was given, and gets it again; the
                 claim stands from now on
KEYS[2…] queues  lists of RQ, most urgent first
KEYS[…] leases   of more jobs, the last of KEYS; `spigot:1:lease:TOKEN`

ARGV[1] bucket      name
ARGV[2] worker      name
ARGV[3] token       of the attempt; of its lease
ARGV[4] lease_ms    how long the claim stands without renewal, >= 1
ARGV[5] alive_ms    how long the worker counts as alive from now on; 0 if it was noted just before
ARGV[6] rq_ttl_s    the same for RQ's record of the worker, >= 1
ARGV[7] now_us      Unix time, or "" for the clock of Redis (only tests pass it)
ARGV[8] concurrency how many jobs the worker runs at once, >= 1; with more than one it is a pool
ARGV[9] ahead_us    how long before its slot a job may be claimed, 1 to CLAIM_AHEAD_US
ARGV[10] polls      0 if the worker knows that it is neither poller nor standby, else 1
ARGV[11] more       how many leases of more jobs there are, >= 0
ARGV[12…] logged    tokens whose lines are now in a result log

Returns a list, in the order of the leases, of which the last may be one that is no job:

        {"job", job id, queue name, slot_us, us until the slot, attempt, fields of the job as it
            waited, and in a bucket with budgets what `charge_told` in reservations.lua adds to them},
        {"new", job id, queue name, slot_us, us until the slot, values of the job's fields in the
            order in which they are read below, nil for one that it lacks}: its first start,
        {"wait", us, jobs that wait, us since leases were looked through}: ask again in `us`, for a
            slot: later would waste it, or because there is more to drop,
        {"poll", the same three}: ask again in `us` or up to 100 ms later,
        {"sleep", 0, jobs that wait}: others poll the bucket, ask again after a wake-up,
        or {"unpublished"}: the bucket has no numbers yet, or a newer version's.

The job is claimed ahead of its slot, so that the worker's way to it costs no time of the slot.

A job may start if the bucket has a slot for it that is near, is neither paused nor held, and is not
full of running jobs (section 3), and if it is the job's turn (section 4).

What each start does is written out here, with plain commands and literal names: a function or a
table that is made at each call costs as much as a command. What is rare calls libraries.
]]
local name, worker, lease_ms = ARGV[1], ARGV[2], ARGV[4]
local now_us, alive_ms, ahead_us, more = clock_us(ARGV[7]), tonumber(ARGV[5]), tonumber(ARGV[9]), tonumber(ARGV[11])
local key, queues = "spigot:1:bucket:" .. name, { unpack(KEYS, 2, #KEYS - more) }
local scheduled, blanks = "rq:scheduled:" .. name, "spigot:1:blanks:" .. name
local leases, tokens, answers = { KEYS[1] }, { ARGV[3] }, {}
for i = #KEYS - more + 1, #KEYS do
  leases[#leases + 1], tokens[#tokens + 1] = KEYS[i], string.sub(KEYS[i], 16)
end
local may_poll, in_pool = ARGV[10] ~= "0", ARGV[8] ~= "1" and { "pool", "1" } or {}

local function with(answer)
  answers[#answers + 1] = answer
  return answers
end

-- 1. The worker's news: it lives, and it has logged what ended.

if alive_ms > 0 then note_alive(name, worker, now_us, alive_ms, tonumber(ARGV[8]), ARGV[6]) end
for i = 12, #ARGV, 1000 do -- as unpack takes no more than some thousands
  local last = math.min(i + 999, #ARGV)
  local logged = redis.pcall("HDEL", key .. ":unlogged", unpack(ARGV, i, last))
  if type(logged) == "table" then lenient("HDEL", key .. ":unlogged", unpack(ARGV, i, last)) end
end

-- A round starts the next job, and those behind it as long as one is like the other, as most are.
-- What it decides, it reads before it writes, and it writes once what its jobs share. What a round
-- leaves is seen to by the next one.
repeat
  -- 2. Read the bucket. Mostly jobs wait in one queue, the middle one, and nothing else is there: no
  -- lease that was asked for before, no jobs that wait for a time, no blank entries.

  local there = redis.call("EXISTS", "rq:suspended", key .. ":delayed", scheduled .. "-high", scheduled,
    scheduled .. "-low", blanks .. "-high", blanks, blanks .. "-low", unpack(KEYS)) - #answers
  local first = queues[2]
  local entries = there == 0 and 0 or there == 1 and first and redis.pcall("LLEN", first)
  local is_usual = there == 0 or there == 1 and type(entries) == "number" and entries > 0
  if not is_usual then
    local filled
    entries, first, filled = filled_of(queues)
    is_usual = there == filled
    if not is_usual then tell_again(answers, tokens, now_us, lease_ms) end
    if #answers == #leases then return answers end
  end
  local at, most = #answers + 1, #leases - #answers

  local v = redis.call("HMGET", key, "interval_us", "burst", "last_slot_us", "ahead_us", "held_until_us",
    "max_running", "heard_us", "clock_us", "cell", "cell_starts", "budgets", "schema", "paused", "probing",
    "suspected_us")
  if not v[1] then return with({ "unpublished" }) end
  local interval_us, burst, bucket_ahead_us = tonumber(v[1]) or 0, tonumber(v[2]) or 0, tonumber(v[4]) or 0
  local bucket = { name = name, interval_us = interval_us, burst = burst, last_slot_us = tonumber(v[3]) or 0,
    ahead_us = bucket_ahead_us, paced_us = interval_us, held_until_us = tonumber(v[5]) or 0,
    max_running = tonumber(v[6]) or 0, heard_us = tonumber(v[7]) or 0, clock_us = tonumber(v[8]) or 0,
    cell = tonumber(v[9]) or 0, cell_starts = tonumber(v[10]) or 0, budgets = v[11] ~= "" and v[11] or nil }
  local sum = interval_us + burst + bucket.last_slot_us + bucket_ahead_us + bucket.held_until_us + bucket.max_running
    + bucket.clock_us + bucket.cell_starts
  local is_sound = interval_us >= 1 and burst >= 1 and bucket_ahead_us >= 0 and sum < 9e15
  if not is_sound then bucket = read_for_start(name) end -- which mends what somebody else put there
  if bucket.ahead_us > 0 then bucket.paced_us = math.max(1, number(redis.call("HGET", key, "paced_us")) or 1) end
  if v[12] ~= "1" and is_newer({ schema = number(v[12]) or 0, budgets = bucket.budgets }) then return with({ "unpublished" }) end
  if bucket.clock_us - now_us > SET_BACK_US then
    set_clock_back(name, bucket.clock_us, now_us)
    if alive_ms > 0 then note_alive(name, worker, now_us, alive_ms, tonumber(ARGV[8]), ARGV[6]) end
    bucket = read_for_start(name)
  end
  if bucket.last_slot_us > now_us + CLAIM_AHEAD_US then -- or it would be waited for
    bucket.last_slot_us = now_us + CLAIM_AHEAD_US
    redis.call("HSET", key, "last_slot_us", bucket.last_slot_us)
  end

  local due_ms, has_blanks, dropped = math.huge, false, 0
  local waiting, is_suspended = entries, false
  if not is_usual then
    due_ms, has_blanks = promote(name, now_us), has_blank_entries(queues)
    if has_blanks then dropped = drop_first_blanks(queues) end
    entries, first = filled_of(queues)
    waiting = has_blanks and math.max(0, entries - blanks_in(queues)) or entries
    is_suspended = redis.call("EXISTS", "rq:suspended") == 1
  end

  -- 3. Decide whether a job can leave now.

  if dropped >= DROPPED_AT_ONCE then return with(ask_again(name, queues)) end
  local look = { bucket = bucket, worker = worker, now_us = now_us, ahead_us = ahead_us, due_ms = due_ms, waiting = waiting }
  local paused, free = v[13] == "1" or is_suspended, most
  if bucket.max_running > 0 then free = bucket.max_running - redis.call("ZCARD", key .. ":leases") end
  if paused or free <= 0 or entries == 0 or (v[14] == "1" and is_probed(bucket)) then
    note_look(bucket, now_us, waiting, paused)
    return with(wait_for_push(look))
  end

  local slot_us, arrival_ahead_us = slot_of(bucket, now_us, 1)
  if slot_us - now_us > ahead_us then
    note_look(bucket, now_us, waiting, false)
    return with(wait_for_slot(look, slot_us))
  end

  -- 4. Decide whether the first job may start: it is there and waits (`read_new`, `read_waiting`), it is
  -- its turn (turns.lua), and budgets have what it costs (reservations.lua).

  local is_suspected, cell = (tonumber(v[15]) or 0) > 0, math.floor(slot_us / CELL_US)
  if most > 1 then -- unless it has a say in the start of the next one
    local is_alone = is_suspected or bucket.budgets or v[14] == "1" or due_ms <= math.floor(now_us / 1000)
      or not is_usual and redis.call("EXISTS", unpack(leases, at + 1)) > 0
    most = is_alone and 1 or math.min(most, free)
  end
  local ids = most == 1 and { redis.call("LINDEX", first, "0") } or first_entries(first, most)
  local id, list, may_be_new, job, charge = ids[1], first, not is_suspected and not bucket.budgets, nil, nil
  local new = may_be_new and read_new(id, slot_us)
  if not new then
    local lists = is_suspected and turns(queues, bucket, tokens[at], now_us) or queues
    job, dropped = first_that_counts(lists, dropped)
    if not job and dropped >= DROPPED_AT_ONCE then return with(ask_again(name, queues)) end
    if not job then
      look.waiting = waiting_in(queues)
      return with(wait_for_push(look))
    end
    if job.id ~= id then ids = { job.id } end -- those that stood behind the other are not the next ones
    id, list = job.id, job.list
  end
  if bucket.budgets then
    charge = charge_of(bucket, job, slot_us, now_us)
    local ready_us = charge.ready_us
    if not ready_us or ready_us - now_us > ahead_us then
      note_look(bucket, now_us, waiting, false)
      return with(wait_for_budget(look, ready_us))
    end
    slot_us, arrival_ahead_us = ready_us, math.max(0, slot_us + arrival_ahead_us - ready_us)
  end

  -- Those behind it start with it as long as their slots are near, and in one cell of the history.

  local queue, moved, ending, running = string.sub(list, 10), {}, { 0, "" }, { "+inf", "" }
  local last_us, later_us, is_ahead = bucket.last_slot_us, nil, bucket_ahead_us ~= 0
  for n = 1, #ids do
    if n > 1 then
      slot_us, arrival_ahead_us = slot_of(bucket, now_us, 1)
      if slot_us - now_us > ahead_us then later_us = slot_us end
      if later_us or math.floor(slot_us / CELL_US) ~= cell then break end
      id = ids[n]
      new = may_be_new and read_new(id, slot_us)
      job = not new and read_waiting(list, id)
      if not new and not job then break end
    end
    local i, wait_us = #answers + 1, math.max(0, slot_us - now_us)
    answers[i] = new and { "new", id, queue, slot_us, wait_us, new }
      or { "job", id, queue, slot_us, wait_us, job.attempts + 1, job.hash }
    if job then moved[i] = job end
    ending[2 * n - 1], ending[2 * n] = math.floor(slot_us / 1000) + lease_ms, tokens[i]
    running[2 * n - 1], running[2 * n] = "+inf", id .. ":" .. tokens[i]
    bucket.last_slot_us, bucket.ahead_us, bucket.paced_us = slot_us, arrival_ahead_us, bucket.interval_us
    is_ahead = is_ahead or arrival_ahead_us ~= 0
  end

  -- 5. Arrive: the leases, and what the jobs are while they run. A lease without an entry would never end.

  local started, stats = #answers - at + 1, key .. ":stats"
  local counted = started > 1 and {} or nil
  if v[14] == "1" then redis.call("HSET", key, "probe_token", tokens[at]) end
  redis.call("ZADD", key .. ":leases", unpack(ending))
  for i = at, #answers do
    local answer, job = answers[i], moved[i]
    local id, slot_us = answer[2], answer[4]
    local key_of_job, type_of_job, attempt, revision, since_us, slot_text = "rq:job:" .. id, "rq", "1", "2", nil, nil
    if job then
      local known = job.known
      type_of_job, since_us, slot_text = known.spigot_type or "rq", joined_us(known), utc_text(slot_us)
      attempt, revision = answer[6], (number(known.spigot_revision) or 0) + 1
    else
      local new = answer[6]
      type_of_job, since_us = new[7], tonumber(new[5])
      slot_text = utc_text_beside(slot_us, since_us, new[3])
    end
    redis.call("PERSIST", key_of_job)
    redis.call("HSET", leases[i], "job", id, "bucket", name, "queue", queue, "worker", worker,
      "slot_us", slot_us, "attempt", attempt, unpack(in_pool))
    if charge then redis.call("HSET", leases[i], "budgets", charge_text(charge)) end
    if job and (job.known.spigot_returned_us or job.known.spigot_due_us or job.known.spigot_error or job.known.spigot_progress) then
      redis.call("HDEL", key_of_job, "spigot_returned_us", "spigot_due_us", "spigot_error", "spigot_progress")
    end
    redis.call("HSET", key_of_job, "status", "started", "started_at", slot_text, "last_heartbeat", slot_text,
      "worker_name", worker, "spigot_token", tokens[i], "spigot_slot_us", slot_us, "spigot_attempts", attempt,
      "spigot_revision", revision)
    if charge then
      charge_told(job.hash, bucket, charge, slot_us)
      reserve(bucket, charge, slot_us)
    end
    count_start(stats, counted, type_of_job, not job or attempt == 1, since_us, slot_us, last_us)
    last_us = slot_us
  end

  -- 6. Leave the queue.

  local starts, left, as_text = started, math.max(0, waiting - started), started == 1 and "1" or started
  if cell == bucket.cell then starts = bucket.cell_starts + started else begin_cell(bucket, cell) end
  if is_ahead then
    redis.call("HSET", key, "last_slot_us", last_us, "clock_us", now_us, "cell_starts", starts, "cell_waiting", left,
      "ahead_us", bucket.ahead_us, "paced_us", bucket.interval_us)
  else
    redis.call("HSET", key, "last_slot_us", last_us, "clock_us", now_us, "cell_starts", starts, "cell_waiting", left)
  end
  if has_blanks then
    take_first(list, started)
  else
    redis.call("LPOP", list, as_text)
    local head = redis.pcall("HINCRBY", key, "head:" .. queue, as_text)
    if type(head) == "table" then add(key, head_field(queue), started) end
  end

  -- 7. Tell, by commands that may fail. RQ's own clean-up fails a started job whose time is over; this
  -- one never is: the lease is what runs out.

  if bucket.heard_us == 0 then redis.pcall("HSET", key, "heard_us", now_us) end -- from now on silence is an outage
  redis.pcall("ZADD", "rq:wip:" .. queue, unpack(running))
  local added = redis.pcall("HSET", "rq:worker:" .. worker, "state", "busy", "current_job", answers[#answers][2])
  if added == 2 then redis.pcall("DEL", "rq:worker:" .. worker) end -- there is no record of the worker
  if counted then
    for field, times in pairs(counted) do redis.pcall("HINCRBY", stats, field, times) end
  end
  for i = at, #answers do redis.pcall("PUBLISH", "spigot:1:job_events", answers[i][2]) end
  if dropped > 0 or has_blanks then left = waiting_in(queues) end
  local bell = key .. ":bell" -- from here on as hand_over_polling in polling.lua does
  local has_polled = may_poll and redis.pcall("ZREM", key .. ":waiters", worker) == 1
  may_poll = false
  if left == 0 then
    redis.pcall("DEL", bell)
    if has_polled then wake_standby(name) end
  elseif redis.pcall("LLEN", bell) == 0 then
    redis.pcall("LPUSH", bell, "1")
  end

  -- 8. Where nothing needs another round, the worker is told now why there is no job for its next lease.

  if #answers < #leases and is_usual and bucket.max_running == 0 then
    look.waiting = left
    if left == 0 then return with(wait_for_push(look)) end
    if later_us then return with(wait_for_slot(look, later_us)) end
  end
until #answers == #leases
return answers
