--[[
Functions that let jobs whose time has come join the end of their queue: ours (retries), and
those that plain RQ scheduled.
]]
local PROMOTED_AT_ONCE = 100

local function promote_delayed(name, now_us)
  local delayed = bucket_key(name) .. ":delayed"
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", delayed, "-inf", ms(now_us), "LIMIT", 0, PROMOTED_AT_ONCE)) do
    redis.call("ZREM", delayed, id)
    local queue = redis.call("HGET", RQ_JOB .. id, "origin")
    if queue then to_queue(id, queue) end
  end
end

-- RQ keeps the time in seconds.
local function promote_scheduled(queue, now_us)
  local scheduled = "rq:scheduled:" .. queue
  local now_s = string.format("%.6f", now_us / SECOND_US)
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", scheduled, "-inf", now_s, "LIMIT", 0, PROMOTED_AT_ONCE)) do
    redis.call("ZREM", scheduled, id)
    redis.call("HSET", RQ_JOB .. id, "spigot_due_us", now_us)
    to_queue(id, queue)
  end
end

-- The millisecond at which the next job is due; math.huge if there is none.
local function next_due_ms(name)
  local first = redis.call("ZRANGE", bucket_key(name) .. ":delayed", 0, 0, "WITHSCORES")
  local due_ms = tonumber(first[2]) or math.huge
  for _, list in ipairs(queue_keys(name)) do
    first = redis.call("ZRANGE", "rq:scheduled:" .. string.sub(list, #RQ_QUEUE + 1), 0, 0, "WITHSCORES")
    due_ms = math.min(due_ms, math.ceil((tonumber(first[2]) or math.huge) * 1000))
  end
  return due_ms
end

-- Returns when the next job is due, in ms.
local function promote(name, now_us)
  local due_ms = next_due_ms(name)
  if due_ms > ms(now_us) then return due_ms end
  promote_delayed(name, now_us)
  for _, list in ipairs(queue_keys(name)) do
    promote_scheduled(string.sub(list, #RQ_QUEUE + 1), now_us)
  end
  return next_due_ms(name)
end
