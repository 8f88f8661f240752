-- requires: times, bucket, bucket_stats, places, room, job_state
--[[
Put one job into a bucket, unless the bucket is full.

KEYS[1] job          hash of RQ; if it exists the job was enqueued before and nothing changes
KEYS[2] queue        list of RQ, the ids of waiting jobs
KEYS[3] queues       set of RQ, the keys of all queues
KEYS[4] idempotency  hash {fingerprint, job} of the first request; absent for a request without such a key

ARGV[1] job id
ARGV[2] queue        name; belongs to the bucket NAME as NAME-high, NAME or NAME-low
ARGV[3] keep_s       seconds that the idempotency key is kept, >= 1
ARGV[4] fingerprint  of the request's body; "" without an idempotency key
ARGV[5] now_us       Unix time, or "" for the clock of Redis (only tests pass it)
ARGV[6] delay_us     how long the job waits before it joins its queue, >= 0
ARGV[7…] fields      alternating name and value: what RQ 2.12 stores for a job; the script adds
                     status and times

Returns {"queued", …} (see `describe` in job_state.lua), {"full" | "draining", ms until it is
        worth to come back}, {"unpublished"}: the bucket has no numbers yet,
        {"newer", schema}: a newer version wrote them. With an idempotency key that was used
        before: {"same", job id, what `describe` says of that job}, or {"conflict"} if the
        request was another
Source: rq.Queue._enqueue_async_job and rq.Job.to_dict, RQ 2.12.
]]
local job, queue, queues, idempotency = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local job_id, queue_name, keep_s, fingerprint = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local now_us, delay_us = clock_us(ARGV[5]), tonumber(ARGV[6])

local function job_type()
  for i = 7, #ARGV, 2 do
    if ARGV[i] == "spigot_type" then return ARGV[i + 1] end
  end
end

if redis.call("EXISTS", job) == 1 then return describe(job_id, now_us, "queued") end

if fingerprint ~= "" then
  local first = redis.call("HMGET", idempotency, "fingerprint", "job")
  -- a job that was deleted since is to be done again
  if first[1] and redis.call("HEXISTS", RQ_JOB .. first[2], "data") == 1 then
    if first[1] ~= fingerprint then return { "conflict" } end
    return { "same", first[2], describe(first[2], now_us, "state") }
  end
end

local bucket = read_bucket(bucket_of(queue_name))
if not bucket then return { "unpublished" } end
if is_newer(bucket) then return { "newer", bucket.schema } end

local waiting, delayed = waiting_in(queue_keys(bucket.name)), bucket_key(bucket.name) .. ":delayed"
local before = waiting
if delay_us > 0 then before = before + redis.call("ZCARD", delayed) end -- they need places, too
local refused = refusal(bucket, now_us, before)
if refused then
  count(bucket.name, refused[1], job_type())
  return refused
end

local function join_queue()
  lenient("SADD", queues, queue)
  local length = redis.call("RPUSH", queue, job_id)
  return "queued", "spigot_place", head_of(queue_name) + length - 1
end

local function join_delayed()
  local due_us = now_us + delay_us
  redis.call("ZADD", delayed, math.ceil(due_us / 1000), job_id)
  return "scheduled", "spigot_due_us", due_us
end

-- What can fail comes first: the key that finds the first request again, then the place. An entry
-- without a job is dropped, but a job without an entry would wait for ever.
local now_text = utc_text(now_us)
if fingerprint ~= "" then
  redis.call("HSET", idempotency, "fingerprint", fingerprint, "job", job_id)
  redis.call("EXPIRE", idempotency, keep_s)
end
local status, place_field, place = (delay_us > 0 and join_delayed or join_queue)()
local fields = { unpack(ARGV, 7) }
for _, part in ipairs({ "status", status, "created_at", now_text, "enqueued_at", now_text,
  "spigot_enqueued_us", now_us, place_field, place }) do fields[#fields + 1] = part end
redis.call("HSET", job, unpack(fields))
if waiting == 0 or delay_us > 0 then wake(bucket.name) end
count(bucket.name, "enqueued", job_type())
job_changed(job_id)
return describe(job_id, now_us, "queued")
