-- requires: bucket, estimates
--[[
Functions that say whether a bucket takes another job.
]]
local UNKNOWN_MS = 60000 -- how long until an operator lets jobs go on

local function ms_until_place(bucket, now_us, waiting)
  local held_ms = math.ceil((bucket.held_until_us - now_us) / 1000)
  if bucket.paused == 1 or bucket.draining == 1 then
    return held_ms > 0 and held_ms or UNKNOWN_MS
  end
  local place = waiting - bucket.capacity + 1
  local slot_us = slot_of(bucket, now_us, place)
  if bucket.budgets then slot_us = math.max(slot_us, start_by_budgets(bucket, now_us, place) or 0) end
  return math.max(1, math.ceil((slot_us - now_us) / 1000))
end

-- {"full" | "draining", ms until it is worth to come back}; nil if there is room.
local function refusal(bucket, now_us, waiting)
  if bucket.draining ~= 1 and waiting < bucket.capacity then return nil end
  return { bucket.draining == 1 and "draining" or "full", ms_until_place(bucket, now_us, waiting) }
end

-- How many of `wanted` jobs there is room for, and what the others are told; nil if all fit.
local function room_for(bucket, now_us, waiting, wanted)
  local room = bucket.draining == 1 and 0 or math.max(0, math.ceil(bucket.capacity - waiting))
  if wanted <= room then return wanted end
  return room, refusal(bucket, now_us, waiting + room)
end
