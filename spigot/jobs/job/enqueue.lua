-- requires: times, bucket, clock, delayed, bucket_stats, places, room, job_state, budgets
-- rarely: heed_clock, delayed_score, describe, wake, excess_of, room_for, count_refused, start_by_budgets, waiting_in, lenient, read_numbers, utc_text
--[[
Put jobs of one type and priority into their bucket, in order, as long as there is room.

KEYS[1] queue   list of RQ, the ids of waiting jobs
KEYS[2] queues  set of RQ, the keys of all queues

ARGV[1] queue     name; belongs to the bucket as BUCKET-high, BUCKET or BUCKET-low
ARGV[2] bucket    name
ARGV[3] type      of the jobs
ARGV[4] keep_s    seconds that idempotency keys are kept, >= 1
ARGV[5] delay_us  how long the jobs wait before they join the queue, >= 0
ARGV[6] now_us    Unix time, or "" for the clock of Redis (only tests pass it)
ARGV[7] chosen    1: somebody chose the ids, and a job of such an id that exists stays as it is
ARGV[8] minute    since 1970, by the clock of whoever calls the script
ARGV[9] text      of this minute, as UTC: "2026-01-31T12:00:"
ARGV[10] shared   how many of the next arguments are fields that all of the jobs have
ARGV[11…]         these fields, alternating name and value: what RQ 2.12 stores for a job; the script
                  adds status and times. Then for each job its id, the key of its idempotency hash
                  {fingerprint, job} ("" for none), the fingerprint of its request, how many of the
                  next arguments are fields of its own, and these

Returns {now_us, an answer for each job}, {"unpublished"}: the bucket has no numbers yet, or
        {"newer", schema}: a newer version wrote them. The answers: {"queued", position, start_us},
        0 for none, {"full" | "draining", ms until it is worth to come back}, {"costly", budget,
        cost, the largest that fits}: it would never start, {"exists", what `describe` in
        job_state.lua returns}. With an idempotency key that was used before: {"same", job id, what
        `describe` says of that job}, or {"conflict"} if the request was another
Source: rq.Queue._enqueue_async_job and rq.Job.to_dict, RQ 2.12.
]]
local queue, queues = KEYS[1], KEYS[2]
local queue_name, name, job_type, keep_s, delay_us = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local now_us, is_chosen, shared = clock_us(ARGV[6]), ARGV[7] == "1", tonumber(ARGV[10])
local answers, new = { now_us }, {}

-- What is answered for a job that was made before; nil for a new one. What it takes as arguments
-- need not be kept for it at each call.
local function known(id, idempotency, fingerprint, is_chosen, now_us)
  if is_chosen and redis.call("EXISTS", RQ_JOB .. id) == 1 then
    return { "exists", describe(id, now_us, "state") }
  end
  if idempotency == "" then return nil end
  local first = redis.call("HMGET", idempotency, "fingerprint", "job")
  -- a job that was deleted since is to be done again
  if not first[1] or redis.call("HEXISTS", RQ_JOB .. first[2], "data") == 0 then return nil end
  if first[1] ~= fingerprint then return { "conflict" } end
  return { "same", first[2], describe(first[2], now_us, "state") }
end

-- 1. Decide which of the jobs are new, and how many of these there is room for.

local at = 11 + shared
while at <= #ARGV do
  local job = { id = ARGV[at], idempotency = ARGV[at + 1], fingerprint = ARGV[at + 2], at = at + 4 }
  job.last = at + 3 + ARGV[at + 3]
  job.answer = #answers + 1
  answers[job.answer] = (is_chosen or job.idempotency ~= "")
    and known(job.id, job.idempotency, job.fingerprint, is_chosen, now_us) or false
  if not answers[job.answer] then new[#new + 1] = job end
  at = job.last + 1
end
if #new == 0 then return answers end

-- Written out, as reading and counting them one by one takes twice the time.
local key = bucket_key(name)
local values = redis.call("HMGET", key, "interval_us", "burst", "capacity", "last_slot_us", "ahead_us", "paced_us",
  "mean_run_us", "held_until_us", "max_running", head_field(queue_name), "draining", "paused", "schema", "budgets")
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
  schema = values[13] == "1" and SCHEMA or number(values[13]) or 0,
  budgets = values[14] ~= "" and values[14] or nil,
}
local head = tonumber(values[10]) or 0
local sum = bucket.interval_us + bucket.burst + bucket.capacity + bucket.last_slot_us + bucket.ahead_us
  + bucket.paced_us + bucket.mean_run_us + bucket.held_until_us + bucket.max_running + head
if not (sum >= 0 and sum <= MOST) or bucket.interval_us < 1 or bucket.burst < 1 or bucket.paced_us < 1 then -- odd values
  bucket = read_numbers(name, { "capacity", "draining", "mean_run_us", head_field(queue_name) })
  head = bucket[head_field(queue_name)]
end
if is_newer(bucket) then return { "newer", bucket.schema } end

if bucket.budgets then -- those that cost more than a budget ever holds would never start
  local fitting = {}
  for _, job in ipairs(new) do
    for n = job.at, job.last - 1, 2 do
      if ARGV[n] == "spigot_cost" then job.cost = ARGV[n + 1] end
    end
    local excess = excess_of(bucket, job.cost)
    if excess then answers[job.answer] = { "costly", unpack(excess) } else fitting[#fitting + 1] = job end
  end
  new = fitting
  if #new == 0 then return answers end
end

local waiting, before = waiting_before(name, queue)
local delayed, places = key .. ":delayed", waiting
if delay_us > 0 then places = places + redis.call("ZCARD", delayed) end -- they need places, too
local taken = #new
if bucket.draining == 1 or places + taken > bucket.capacity then
  local room, refused = room_for(bucket, now_us, places, taken)
  for i = room + 1, taken do answers[new[i].answer] = refused end
  if refused then count_refused(name, now_us, refused[1], job_type, taken - room) end
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
    redis.call("EXPIRE", job.idempotency, keep_s)
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
    lenient("SADD", queues, queue)
    if bucket.budgets then is_head = true end
  end
  first_place = head + length - taken
end

local now_text = utc_text_beside(now_us, ARGV[8] * 60000000, ARGV[9])
local fields = { place_field, due_us, "status", status, "created_at", now_text, "enqueued_at", now_text,
  "spigot_enqueued_us", now_us, "spigot_revision", "1", unpack(ARGV, 11, 10 + shared) }
local own = 12 + shared
for i = 1, taken do
  local job = new[i]
  for n = job.at, job.last do fields[own + n - job.at + 1] = ARGV[n] end
  fields[2] = due_us or first_place + i - 1
  redis.call("HSET", RQ_JOB .. job.id, unpack(fields, 1, own + job.last - job.at + 1))
end

-- 3. Tell; without it no job is lost, so what fails of it stops nothing.

if is_head or due_us then wake(name) end
redis.pcall("HINCRBY", key .. ":stats", "enqueued:" .. job_type, taken)
for i = 1, taken do
  redis.pcall("PUBLISH", EVENTS, ids[i])
  local position, start_us = due_us and 0 or before + i, due_us
  if not due_us then start_us = bucket.paused ~= 1 and start_of(bucket, now_us, position, new[i].cost) or 0 end
  answers[new[i].answer] = { "queued", position, start_us }
end
return answers
