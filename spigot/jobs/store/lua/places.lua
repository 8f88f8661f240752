-- requires: bucket
--[[
Functions that know where in its queue a job is, whatever waits before it.

A place is counted from the first entry that ever was at the head of the queue: `head:QUEUE` of
the bucket is the place of the present head, `spigot_place` that of a job. A job that is cancelled
far from both ends leaves a blank entry behind, so that nobody's place changes; the sorted set
`blanks` has the places of these. RQ takes entries out, and pushes some, without telling anybody.
So a place is compared with the entry that stands there, and corrected where it is wrong.
]]
local NEAR = 100 -- how far from its place a job is looked for before the queue is walked
local CLOSE = 32 -- how close to an end an entry is taken out, and the places up to there are mended
local TAKEN = "spigot:taken" -- no job's id, and in no queue outside of a script

local function head_field(queue) return "head:" .. queue end

local function head_of(queue)
  return number(lenient("HGET", bucket_key(bucket_of(queue)), head_field(queue))) or 0
end

local function is_job(id) return lenient("HEXISTS", RQ_JOB .. id, "data") == 1 end

local function note_place(queue, id, place)
  if id == BLANK then
    lenient("ZADD", blanks_key(queue), place, place)
  elseif number(lenient("HGET", RQ_JOB .. id, "spigot_place")) ~= place and is_job(id) then
    redis.call("HSET", RQ_JOB .. id, "spigot_place", place)
  end
end

local function note_places(queue, ids, first_place)
  lenient("ZREMRANGEBYSCORE", blanks_key(queue), first_place, first_place + #ids - 1)
  for i, id in ipairs(ids) do note_place(queue, id, first_place + i - 1) end
end

local function find_near(list, id, index)
  local from, to = math.max(0, index - NEAR), index + NEAR
  -- a negative index would count from the end, and could take in the whole queue
  local near = to < 0 and {} or lenient("LRANGE", list, from, to) or {}
  for i, other in ipairs(near) do
    if other == id then return from + i - 1 end
  end
end

-- 0-based index of a job in its queue; nil if it is not there. One whose place nobody knows costs
-- a walk, but then those around it cost none.
local function index_of(queue, id, place)
  local list, head = RQ_QUEUE .. queue, head_of(queue)
  if place then
    local index = place - head
    if index >= 0 and lenient("LINDEX", list, index) == id then return index end
    index = find_near(list, id, index)
    if index then return index end
  end
  local index = lenient("LPOS", list, id)
  if not index then return nil end
  if redis.call("EXISTS", bucket_key(bucket_of(queue))) == 1 then
    local from = math.max(0, index - NEAR)
    note_places(queue, lenient("LRANGE", list, from, index + NEAR) or {}, head + from)
  end
  return index
end

-- Jobs that leave the queue before the one at this index.
local function jobs_before(queue, index)
  local place = head_of(queue) + index
  return index - (lenient("ZCOUNT", blanks_key(queue), "-inf", "(" .. place) or 0)
end

-- So many entries have left at the head.
local function move_head(queue, entries)
  local head = add(bucket_key(bucket_of(queue)), head_field(queue), entries)
  lenient("ZREMRANGEBYSCORE", blanks_key(queue), "-inf", "(" .. head)
end

local function take_entry(list, index, from_head)
  redis.call("LSET", list, index, TAKEN)
  redis.call("LREM", list, from_head and 1 or -1, TAKEN)
end

-- An entry leaves the queue of a bucket, or becomes a blank one.
-- Returns 1 if the queue is shorter now, else 0.
local function remove_entry(queue, index)
  local list, head = RQ_QUEUE .. queue, head_of(queue)
  local length = redis.call("LLEN", list)
  if index < CLOSE then
    local before = redis.call("LRANGE", list, 0, index)
    table.remove(before)
    take_entry(list, index, true)
    move_head(queue, 1)
    note_places(queue, before, head + 1)
    return 1
  elseif index >= length - CLOSE then
    local after = redis.call("LRANGE", list, index + 1, -1)
    lenient("ZREMRANGEBYSCORE", blanks_key(queue), head + index, "+inf")
    take_entry(list, index, false)
    note_places(queue, after, head + index)
    return 1
  end
  note_place(queue, BLANK, head + index)
  redis.call("LSET", list, index, BLANK)
  return 0
end

-- Takes the job out of where it waits; also of a queue that belongs to no bucket.
local function leave_queue(queue, id, place)
  if redis.call("EXISTS", bucket_key(bucket_of(queue))) == 0 then
    lenient("LREM", RQ_QUEUE .. queue, 0, id)
    return
  end
  local index = index_of(queue, id, place)
  if index then remove_entry(queue, index) end
end

-- Drops blank entries at the head, `most` at most; returns how many there were.
local function drop_blanks(queue, most)
  local list, blanks = RQ_QUEUE .. queue, 0
  for _, id in ipairs(lenient("LRANGE", list, 0, most - 1) or {}) do
    if id ~= BLANK then break end
    blanks = blanks + 1
  end
  if blanks == 0 then return 0 end
  redis.call("LPOP", list, blanks)
  move_head(queue, blanks)
  return blanks
end
