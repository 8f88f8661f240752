--[[
Take entries without a job out of a part of a queue; the others keep their order.

ARGV[1] queue    name
ARGV[2] from     index of the first entry to look at, >= 0
ARGV[3] at_once  how many to look at, >= 1

Returns {how many were looked at, how many were taken out}
]]
local list, from, at_once = RQ_QUEUE .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local NOBODY = "" -- no job's id; all that were marked with it leave in one walk of the list

local ids, missing = redis.call("LRANGE", list, from, from + at_once - 1), 0
for i, id in ipairs(ids) do
  if redis.call("HEXISTS", RQ_JOB .. id, "data") == 0 then
    redis.call("LSET", list, from + i - 1, NOBODY)
    missing = missing + 1
  end
end
if missing > 0 then redis.call("LREM", list, 0, NOBODY) end
return { #ids, missing }
