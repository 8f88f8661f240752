-- requires: bucket, job_moves, reservations
--[[
Functions that say when the next job may start, without taking it.
]]
local HEADS_LOOKED_AT = 10 -- entries of a queue; those that do not count are dropped by leak.lua

local function first_waiting(queues)
  for _, list in ipairs(queues) do
    for _, id in ipairs(lenient("LRANGE", list, 0, HEADS_LOOKED_AT - 1) or {}) do
      local job = id ~= BLANK and lenient("HMGET", RQ_JOB .. id, unpack(WAITS))
      if job and counts(unpack(job, 1, 4)) then return id end
    end
  end
end

-- When the next job may start, and the budget that it waits for, if it does; no time if nobody knows,
-- because an attempt must end first.
local function next_start(bucket, now_us)
  local slot_us = slot_of(bucket, now_us, 1)
  local id = bucket.budgets and first_waiting(queue_keys(bucket.name))
  if not id then return slot_us end
  local charge = charge_of(bucket, { id = id }, slot_us, now_us)
  return charge.ready_us, charge.narrow
end
