-- requires: bucket
--[[
Functions that decide which idle workers watch a bucket, so that Redis works no more the more
workers there are. Two watch at most: one that looks next, and a deputy in case it died. The
others sleep until a bell rings.

`waiters` is a sorted set of the watchers by the millisecond by which they will have looked.
`bell` and `deputy_bell` are lists that hold one token at most: "somebody must look at the
bucket", heard by all idle workers, and "a second watcher is wanted", heard by those that sleep.
]]
local SERVER_LATE_MS = 100 -- a server may end a blocking wait that late
local POLL_MS = 800 -- how often a bucket is looked at that no job can leave, but for that
local DEAD_MS = 500 -- after its time a watcher counts as dead

-- Whoever looks at the bucket does what the bell asked for.
local function hush(name) lenient("DEL", bucket_key(name) .. ":bell") end

local function call_deputy(name)
  local bell = bucket_key(name) .. ":deputy_bell"
  if try("LLEN", bell) == 0 then try("LPUSH", bell, "1") end
end

-- The worker goes; if jobs wait, somebody else must look at once.
local function pass_watch_on(name, worker, waiting)
  local watched = try("ZREM", bucket_key(name) .. ":waiters", worker) == 1
  if waiting then
    ring(name)
  elseif watched then
    call_deputy(name)
  end
end

-- One that watches alone calls a deputy, unless one may come by itself: a job that has begun
-- meanwhile may be short.
local function call_deputy_in_time(bucket, now_us, look_ms)
  local alone_ms = bucket.alone_ms
  if alone_ms == 0 or alone_ms > ms(now_us) then
    alone_ms = ms(now_us)
    redis.call("HSET", bucket_key(bucket.name), "alone_ms", alone_ms)
  end
  if look_ms - alone_ms > DEAD_MS then call_deputy(bucket.name) end
end

-- Somebody is to look at `look_ms`, or `slack_ms` later, and again `deputy_ms` after that.
-- Returns the millisecond at which this worker is to look, and whether it must be exact; or
-- nil if it may sleep.
local function share_watch(bucket, worker, now_us, look_ms, slack_ms, deputy_ms)
  local key = bucket_key(bucket.name)
  local waiters = key .. ":waiters"
  lenient("ZREMRANGEBYSCORE", waiters, "-inf", ms(now_us) - DEAD_MS)
  lenient("ZREM", waiters, worker)
  local others = lenient("ZRANGE", waiters, 0, 1, "WITHSCORES") or {}
  local first_ms, second_ms = tonumber(others[2]), tonumber(others[4])
  if not first_ms then
    call_deputy_in_time(bucket, now_us, look_ms)
  else
    if bucket.alone_ms > 0 then redis.call("HDEL", key, "alone_ms") end
    if first_ms <= look_ms + slack_ms then
      if second_ms then return nil end
      look_ms, slack_ms = first_ms + deputy_ms, SERVER_LATE_MS
    end
  end
  lenient("ZADD", waiters, look_ms + math.min(slack_ms, SERVER_LATE_MS), worker)
  return look_ms, slack_ms == 0
end

-- Wakes somebody if jobs wait and all who watched are dead.
local function ring_if_unwatched(name, now_us)
  local alive = try("ZCOUNT", bucket_key(name) .. ":waiters", ms(now_us) - DEAD_MS, "+inf") or 0
  if alive == 0 and waiting_in(queue_keys(name)) > 0 then ring(name) end
end
