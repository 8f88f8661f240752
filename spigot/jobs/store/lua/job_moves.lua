-- requires: bucket, delayed, places
--[[
Functions that move a job to where it waits: to the end or the head of its queue, or to a time.
`attempts` takes it out of its attempt, `job_end` to its end.

A script that fails half-way (a right is missing, a key holds something else) is not undone. So
each script that moves a job goes in this order, and loses none wherever it fails:

1. decide  read, and refuse or go on; what is spoilt is read by `lenient`
2. arrive  write the job's hash, add the job to its new place, leave a line for the log. Until 3
           all of this may be done again
3. leave   take the job out of its old place; the last `redis.call`
4. tell    counters, events, wake-ups, what RQ shows: by `try`

What fails between 2 and 3 leaves the job in two places, of which one counts:

- A lease counts while its job names it (`spigot_token`) and has not ended.
- An entry of a queue, or of a set of delayed jobs, counts if its job is there, has not ended, is
  not to stop, and runs under no lease.
- An entry of a registry of jobs that have ended counts if the job's status says the same.
]]
local WAITS = { "data", "status", "spigot_stop", "spigot_token" }

-- Whether an entry of a place where jobs wait counts. Takes the four fields WAITS of its job.
local function counts(data, status, stop, token)
  return data and not stop and not ENDED[status] and not is_running(token)
end

-- The job joins the end of its queue.
local function to_queue(id, queue)
  local list = RQ_QUEUE .. queue
  lenient("SADD", "rq:queues", list)
  local length = redis.call("RPUSH", list, id)
  redis.call("HSET", RQ_JOB .. id, "status", "queued", "origin", queue,
    "spigot_place", head_of(queue) + length - 1)
  job_changed(id)
end

-- Where in the list a job belongs that comes back: first, but behind those that came back from
-- earlier slots. Returns the index, the entry before it, and whether it stands there already.
local function place_at_head(list, id, slot_us)
  local index, earlier, looked = 0, nil, 0
  while true do
    local other = redis.call("LINDEX", list, looked)
    if other == id then return looked, earlier, true end
    if other ~= BLANK or looked - index > NEAR then
      local returned_us = other and number(lenient("HGET", RQ_JOB .. other, "spigot_returned_us"))
      if not returned_us or returned_us >= slot_us then return index, earlier, false end
      index, earlier = looked + 1, other
    end
    looked = looked + 1
  end
end

-- The job goes first again, but behind those that came back from earlier slots.
local function to_head(id, queue, slot_us)
  local list = RQ_QUEUE .. queue
  local index, earlier, is_there = place_at_head(list, id, slot_us)
  local head
  if is_there then
    head = head_of(queue)
  else
    if earlier then
      redis.call("LINSERT", list, "AFTER", earlier, id)
    else
      redis.call("LPUSH", list, id)
    end
    head = add(bucket_key(bucket_of(queue)), head_field(queue), -1)
    if earlier then note_places(queue, redis.call("LRANGE", list, 0, index - 1), head) end
  end
  redis.call("HSET", RQ_JOB .. id, "status", "queued", "origin", queue, "spigot_returned_us", slot_us,
    "spigot_place", head + index)
  job_changed(id)
end

-- The job waits for a time. RQ calls that scheduled.
local function to_delayed(id, queue, due_us)
  local name = bucket_of(queue)
  redis.call("ZADD", bucket_key(name) .. ":delayed", delayed_score(name, due_us), id)
  redis.call("HSET", RQ_JOB .. id, "status", "scheduled", "origin", queue, "spigot_due_us", due_us)
  job_changed(id)
end
