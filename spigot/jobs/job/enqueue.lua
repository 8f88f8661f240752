-- requires: times, bucket, clock, delayed, bucket_stats, places, room, job_state, budgets
-- rarely: heed_clock, delayed_score, known_answer, wake, excess_of, room_for, count_refused, start_by_budgets, read_places, waiting_before, lenient, number, read_numbers, is_newer, utc_text_beside
--[[
Put jobs of one type and priority into their bucket, in order, as long as there is room.

KEYS[1] queue   list of RQ, the ids of waiting jobs
KEYS[2] queues  set of RQ, the keys of all queues
KEYS[3…7]       the lists of the bucket's other priorities, and the sorted sets of the blank places of
                all three: where none of them is there, counting who waits is one command

ARGV[1] queue     name; belongs to the bucket as BUCKET-high, BUCKET or BUCKET-low
ARGV[2] bucket    name
ARGV[3] type      of the jobs
ARGV[4] keep_s    seconds that idempotency keys are kept, >= 1
ARGV[5] shared    how many of the last arguments are fields that all of the jobs have
ARGV[6] delay_us  how long the jobs wait before they join the queue, >= 0
ARGV[7] now_us    Unix time, or "" for the clock of Redis (only tests pass it)
ARGV[8] chosen    1: somebody chose the ids, and a job of such an id that exists stays as it is
ARGV[9] minute    since 1970, by the clock of whoever calls the script
ARGV[10] text     of this minute, as UTC: "2026-01-31T12:00:"
ARGV[11…]         for each job its id, the key of its idempotency hash {fingerprint, job} ("" for none),
                  the fingerprint of its request, how many of the next arguments are fields of its own,
                  and these, alternating name and value: what RQ 2.12 stores for a job; the script adds
                  status and times. At the end the fields that all of the jobs have

Returns {now_us, an answer for each job}, {"unpublished"}: the bucket has no numbers yet, or
        {"newer", schema}: a newer version wrote them. The answers: {"queued", position, start_us},
        0 for none, {"full" | "draining", ms until it is worth to come back}, {"costly", budget,
        cost, the largest that fits}: it would never start, or what `known_answer` in job_state.lua
        returns of a job that was made before
Source: rq.Queue._enqueue_async_job and rq.Job.to_dict, RQ 2.12.
]]
local ARGV, queue, name, delay_us = ARGV, KEYS[1], ARGV[2], tonumber(ARGV[6])
local is_chosen, now_us = ARGV[8] == "1", clock_us(ARGV[7])

-- 1. Decide which of the jobs are new, and how many of these there is room for.

local answers, new = { now_us }, {}
local at, shared = 11, tonumber(ARGV[5])
local end_of_jobs = #ARGV - shared
while at < end_of_jobs do
  local id, idempotency, last, answer = ARGV[at], ARGV[at + 1], at + 3 + ARGV[at + 3], false
  if is_chosen and redis.call("EXISTS", RQ_JOB .. id) == 1
    or idempotency ~= "" and redis.call("EXISTS", idempotency) == 1 then
    answer = known_answer(id, idempotency, ARGV[at + 2], is_chosen, now_us) or false
  end
  answers[#answers + 1] = answer
  if not answer then
    new[#new + 1] = { id = id, idempotency = idempotency, fingerprint = ARGV[at + 2], first = at + 4, last = last,
      answer = #answers }
  end
  at = last + 1
end
if #new == 0 then return answers end

-- Written out, as reading and counting them one by one takes twice the time.
local key = bucket_key(name)
local values = redis.call("HMGET", key, "interval_us", "burst", "capacity", "last_slot_us", "ahead_us", "paced_us",
  "mean_run_us", "held_until_us", "max_running", head_field(ARGV[1]), "draining", "paused", "schema", "budgets")
if not values[1] then return { "unpublished" } end
local bucket = {
  name = name,
  interval_us = tonumber(values[1]) or 0,
  burst = tonumber(values[2]) or 0,
  capacity = tonumber(values[3]) or -MOST,
  last_slot_us = tonumber(values[4]) or 0,
  ahead_us = tonumber(values[5]) or 0,
  paced_us = tonumber(values[6]) or 1,
  mean_run_us = tonumber(values[7]) or 0,
  held_until_us = values[8] and tonumber(values[8]) or 0,
  max_running = values[9] and tonumber(values[9]) or 0,
  draining = values[11] == "1" and 1,
  paused = values[12] == "1" and 1,
  budgets = values[14] ~= "" and values[14] or nil,
}
local head = tonumber(values[10]) or 0
local sum = bucket.interval_us + bucket.burst + bucket.capacity + bucket.last_slot_us + bucket.ahead_us
  + bucket.paced_us + bucket.mean_run_us + bucket.held_until_us + bucket.max_running + head
if not (sum >= 0 and sum <= MOST) or bucket.interval_us < 1 or bucket.burst < 1 or bucket.paced_us < 1 then -- odd values
  bucket = read_numbers(name, { "capacity", "draining", "mean_run_us", head_field(ARGV[1]) })
  head = bucket[head_field(ARGV[1])]
end
if values[13] ~= "1" then -- every version knows the first
  bucket.schema = number(values[13]) or 0
  if is_newer(bucket) then return { "newer", bucket.schema } end
end

if bucket.budgets then -- those that cost more than a budget ever holds would never start
  local fitting = {}
  for _, job in ipairs(new) do
    for n = job.first, job.last, 2 do
      if ARGV[n] == "spigot_cost" then job.cost = ARGV[n + 1] end
    end
    local excess = excess_of(bucket, job.cost)
    if excess then answers[job.answer] = { "costly", unpack(excess) } else fitting[#fitting + 1] = job end
  end
  new = fitting
  if #new == 0 then return answers end
end

local waiting, before
if redis.call("EXISTS", unpack(KEYS, 3)) == 0 then
  waiting = redis.call("LLEN", queue)
  before = waiting
else
  waiting, before = waiting_before(name, queue)
end
local delayed, places = key .. ":delayed", waiting
if delay_us > 0 then places = places + redis.call("ZCARD", delayed) end -- they need places, too
local taken = #new
if bucket.draining == 1 or places + taken > bucket.capacity then
  local room, refused = room_for(bucket, now_us, places, taken)
  for i = room + 1, taken do answers[new[i].answer] = refused end
  if refused then count_refused(name, now_us, refused[1], ARGV[3], taken - room) end
  taken = room
end
if taken == 0 then return answers end

-- 2. Arrive. What can fail comes first: the key that finds the first request again, then the place.
-- An entry without a job is dropped, but a job without an entry would wait for ever.

local ids = {}
for i = 1, taken do
  local job = new[i]
  ids[i] = job.id
  if job.idempotency ~= "" then
    redis.call("HSET", job.idempotency, "fingerprint", job.fingerprint, "job", job.id)
    redis.call("EXPIRE", job.idempotency, ARGV[4])
  end
end

local is_head = waiting == 0 -- perhaps: an idle worker is to look, as it may start at once
local status, place_field, first_place, due_us = "queued", "spigot_place", nil, nil
if delay_us > 0 then
  heed_clock(name, now_us)
  status, place_field, due_us = "scheduled", "spigot_due_us", now_us + delay_us
  local score = delayed_score(name, due_us)
  for i = 1, taken do redis.call("ZADD", delayed, score, ids[i]) end
else
  local length = redis.call("RPUSH", queue, unpack(ids))
  if length == taken then -- RQ forgets a queue with its last job
    lenient("SADD", KEYS[2], queue)
    if bucket.budgets then is_head = true end
  end
  first_place = head + length - taken
end

-- Within the caller's minute, which is usual, only the seconds are new: a hundredth of the script is saved.
local of_minute_us, now_text = now_us - ARGV[9] * 60000000, nil
if of_minute_us >= 0 and of_minute_us < 60000000 then -- "%d" cuts fractions off
  now_text = string.format("%s%02d.%06dZ", ARGV[10], of_minute_us / 1000000, of_minute_us % 1000000)
else
  now_text = utc_text_beside(now_us, ARGV[9] * 60000000, ARGV[10])
end
for i = taken, 1, -1 do
  local job = new[i]
  if job.last ~= end_of_jobs then -- the fields that all have come behind its own, where a job was that is written
    for n = 1, shared do ARGV[job.last + n] = ARGV[end_of_jobs + n] end
    end_of_jobs = job.last
  end
  redis.call("HSET", RQ_JOB .. job.id, place_field, due_us or first_place + i - 1, "status", status,
    "created_at", now_text, "enqueued_at", now_text, "spigot_enqueued_us", now_us, "spigot_revision", "1",
    unpack(ARGV, job.first, job.last + shared))
end

-- 3. Tell; without it no job is lost, so what fails of it stops nothing.

if is_head or due_us then wake(name) end
redis.pcall("HINCRBY", key .. ":stats", "enqueued:" .. ARGV[3], taken)
for i = 1, taken do
  redis.pcall("PUBLISH", EVENTS, ids[i])
  local position, start_us = due_us and 0 or before + i, due_us
  if not due_us then start_us = bucket.paused ~= 1 and start_of(bucket, now_us, position, new[i].cost) or 0 end
  answers[new[i].answer] = { "queued", position, start_us }
end
return answers
