-- requires: times, bucket
--[[
Functions that choose which idle workers poll a bucket, so that Redis works no more the more
workers there are. docs/idle-polling.md has the states and the events.

A poller looks at the bucket at a time that it was given. A second one, the standby, looks a
little later, in case the first one died. All other idle workers sleep. A wake-up token ends the
sleep of one worker; a list holds one token at most:

`…:waiters`      sorted set of the pollers, by the millisecond by which each will have looked
`…:bell`         wake-up token for any idle worker: somebody must look at the bucket now
`…:deputy_bell`  wake-up token for a sleeper only: a standby is wanted
]]
local SERVER_LATE_MS = 100 -- a server may end a blocking wait that late
local POLL_MS = 800 -- how often a bucket is looked at that no job can leave, but for that
local LOOK_MS = 970 -- the same where the worker itself sees to the time
local DEAD_MS = 500 -- after its time a poller counts as dead

-- This worker looks at the bucket now, which is what the token asked for.
local function clear_wake_up(name) lenient("DEL", bucket_key(name) .. ":bell") end

local function wake_standby(name)
  local token = bucket_key(name) .. ":deputy_bell"
  if try("LLEN", token) == 0 then try("LPUSH", token, "1") end
end

-- This worker has looked at the bucket, and polls no more. If jobs wait, another must look at once.
local function hand_over_polling(name, worker, waiting)
  local key = bucket_key(name)
  local polled = try("ZREM", key .. ":waiters", worker) == 1
  if waiting then return wake(name) end
  try("DEL", key .. ":bell")
  if polled then wake_standby(name) end
end

-- Wakes a standby if this worker has been the only poller for DEAD_MS. Not at once: a worker that
-- has just started a short job may soon poll again by itself.
local function wake_standby_if_alone(bucket, now_us, look_ms)
  local alone_ms = bucket.alone_ms
  if alone_ms == 0 or alone_ms > ms(now_us) then
    alone_ms = ms(now_us)
    redis.call("HSET", bucket_key(bucket.name), "alone_ms", alone_ms)
  end
  if look_ms - alone_ms > DEAD_MS then wake_standby(bucket.name) end
end

-- Makes this worker poller, standby or sleeper. Somebody must look at `look_ms`, or up to
-- `slack_ms` later; the standby looks `standby_ms` after the poller.
-- Returns the millisecond at which this worker is to look, and whether exactly then; nil if it
-- may sleep.
local function choose_poller(bucket, worker, now_us, look_ms, slack_ms, standby_ms)
  local key = bucket_key(bucket.name)
  local pollers = key .. ":waiters"
  lenient("ZREMRANGEBYSCORE", pollers, "-inf", ms(now_us) - DEAD_MS)
  lenient("ZREM", pollers, worker)
  local others = lenient("ZRANGE", pollers, 0, 1, "WITHSCORES") or {}
  local first_ms, second_ms = tonumber(others[2]), tonumber(others[4])
  if not first_ms then
    wake_standby_if_alone(bucket, now_us, look_ms)
  else
    if bucket.alone_ms > 0 then redis.call("HDEL", key, "alone_ms") end
    if first_ms <= look_ms + slack_ms then -- in time for what this worker would look for
      if second_ms then return nil end
      look_ms, slack_ms = first_ms + standby_ms, SERVER_LATE_MS
    end
  end
  lenient("ZADD", pollers, look_ms + math.min(slack_ms, SERVER_LATE_MS), worker)
  return look_ms, slack_ms == 0
end

-- What a worker is told that gets no job now. `look` is what it found: {bucket, worker, now_us,
-- ahead_us, waiting, due_ms: when the next delayed job is due}.
local function wait_until(look, look_ms, slack_ms, standby_ms)
  local bucket = look.bucket
  local known = redis.call("HMGET", bucket_key(bucket.name), "alone_ms", "reaped_us")
  bucket.alone_ms, bucket.reaped_us = number(known[1]) or 0, number(known[2]) or 0
  clear_wake_up(bucket.name)
  if look.due_ms <= look_ms + slack_ms then look_ms, slack_ms = look.due_ms, 0 end
  local mine_ms, exact = choose_poller(bucket, look.worker, look.now_us, look_ms, slack_ms, standby_ms)
  if not mine_ms then return { "sleep", 0, look.waiting } end
  local wait_us, reaped_us_ago = math.max(1, mine_ms - ms(look.now_us)) * 1000, look.now_us - bucket.reaped_us
  return { exact and "wait" or "poll", wait_us, look.waiting, math.max(0, reaped_us_ago) }
end

local function wait_for_slot(look, slot_us)
  return wait_until(look, ms(slot_us - look.ahead_us) + 1, 0, DEAD_MS)
end

-- No job can leave, and perhaps nobody wakes a worker for the next one that can. The pollers take
-- turns, so that together they look once every POLL_MS.
local function wait_for_push(look)
  return wait_until(look, ms(look.now_us) + POLL_MS, 2 * SERVER_LATE_MS, POLL_MS)
end

-- The first job waits for a budget, and all others with it: small ones would eat what refills. No
-- look that may be late goes past the moment when there is enough.
local function wait_for_budget(look, ready_us)
  if ready_us then look.due_ms = math.min(look.due_ms, ms(ready_us - look.ahead_us) + 1) end
  return wait_for_push(look)
end

-- Should this worker not come back, another is woken.
local function ask_again(name, queues)
  wake(name)
  return { "wait", 1, waiting_in(queues), 0 }
end

local function pollers_alive(name, now_us)
  return try("ZCOUNT", bucket_key(name) .. ":waiters", ms(now_us) - DEAD_MS, "+inf") or 0
end

-- Wakes a worker if jobs wait and all pollers are dead.
local function wake_if_unpolled(name, now_us)
  if pollers_alive(name, now_us) == 0 and waiting_in(queue_keys(name)) > 0 then wake(name) end
end
