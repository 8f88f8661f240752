-- requires: bucket, places
--[[
Take entries without a job out of a part of a queue; the others keep their order. Far from both
ends of a bucket's queue a blank entry is left, which counts as no job.

ARGV[1] queue    name
ARGV[2] from     index of the first entry to look at, >= 0
ARGV[3] at_once  how many to look at, >= 1

Returns {how many were looked at, how many had no job, by how many entries the queue is shorter}
]]
local queue, from, at_once = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local list = RQ_QUEUE .. queue

local function take_out_of_bucket(ids)
  local missing, removed = 0, 0
  for i = #ids, 1, -1 do -- or those that are still to be looked at would move
    if ids[i] ~= BLANK and not is_job(ids[i]) then
      missing, removed = missing + 1, removed + remove_entry(queue, from + i - 1)
    end
  end
  return missing, removed
end

-- All that were marked leave in one walk.
local function take_out_of_plain_queue(ids)
  local missing = 0
  for i, id in ipairs(ids) do
    if not is_job(id) then
      redis.call("LSET", list, from + i - 1, TAKEN)
      missing = missing + 1
    end
  end
  if missing > 0 then redis.call("LREM", list, 0, TAKEN) end
  return missing, missing
end

local ids = redis.call("LRANGE", list, from, from + at_once - 1)
local is_bucket = redis.call("EXISTS", bucket_key(bucket_of(queue))) == 1
local missing, removed = (is_bucket and take_out_of_bucket or take_out_of_plain_queue)(ids)
return { #ids, missing, removed }
