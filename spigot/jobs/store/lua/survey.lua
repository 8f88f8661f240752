-- requires: bucket, places
--[[
Functions that look through queues for places that nobody noted, because plain RQ pushed the job,
and for wrong ones, because something went past the books. `surveyed:QUEUE` of the bucket is the
place up to which all was well.
]]
local SURVEYED_AT_ONCE = 300

-- Whether what was noted of the last entry before `place`, and of the last blank one, still holds.
local function holds(queue, head, place)
  local list = RQ_QUEUE .. queue
  local last = place > head and lenient("LINDEX", list, place - 1 - head)
  if last and last ~= BLANK and is_job(last)
    and number(lenient("HGET", RQ_JOB .. last, "spigot_place")) ~= place - 1 then return false end
  local blank = lenient("ZRANGE", blanks_key(queue), -1, -1) or {}
  return not blank[1] or lenient("LINDEX", list, blank[1] - head) == BLANK
end

-- Returns whether there is more to look through.
local function survey(queue)
  local key, field, head = bucket_key(bucket_of(queue)), "surveyed:" .. queue, head_of(queue)
  local length = lenient("LLEN", RQ_QUEUE .. queue) or 0
  lenient("ZREMRANGEBYSCORE", blanks_key(queue), "-inf", "(" .. head)
  lenient("ZREMRANGEBYSCORE", blanks_key(queue), head + length, "+inf")
  local from = math.min(math.max(head, number(lenient("HGET", key, field)) or head), head + length)
  if not holds(queue, head, from) then
    redis.call("UNLINK", blanks_key(queue)) -- until they are counted anew, they count as jobs
    from = head
  end
  local ids = lenient("LRANGE", RQ_QUEUE .. queue, from - head, from - head + SURVEYED_AT_ONCE - 1) or {}
  if #ids == 0 then return false end
  note_places(queue, ids, from)
  lenient("HSET", key, field, from + #ids)
  return from + #ids < head + length
end
