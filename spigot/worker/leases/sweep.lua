-- requires: slice, times, bucket, places, whereabouts
--[[
Look at some more jobs of this server, and bring back those that are in no place.

A round looks at every job once. One worker of all does it, slice by slice; another goes on when
it falls silent. A job that seems to be nowhere is missing; when it still is after a lease and five
seconds, in the same state, it is sought in all places, and brought back if it is in none.

KEYS[1] sweep    hash, how far the round is: {worker, heard_ms, begun_ms, cursor, walk_list,
                 walk_place, walk_entry}
KEYS[2] missing  sorted set: states of jobs that are missing, by the ms since when
KEYS[3] sought   hash: state by id of missing jobs of one bucket, whose queues are walked through

ARGV[1] worker    name
ARGV[2] lease_ms  how long a lease stands, >= 1
ARGV[3] keep_s    how long a cancelled job is kept, >= 1
ARGV[4] now_us    Unix time, or "" for the clock of Redis (only tests pass it)

Returns {ms until this worker is to come again, 0 if there is more to do at once; texts, one for each
job that was brought back; alternating token and line for the result log}
]]
local sweep, missing, sought = KEYS[1], KEYS[2], KEYS[3]
local worker, lease_ms, keep_s = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now_us = clock_us(ARGV[4])
local now_ms = ms(now_us)
local ROUND_MS, SILENT_MS, ASK_MS, KEPT_S = 600000, 20000, 10000, 1800
local SWEEP_S = 0.0005 -- of the server's processor time; what was begun then ends within as much
local MISSING_MS = lease_ms + 5000
local SCANNED_AT_ONCE, SOUGHT_AT_ONCE, WALKED_AT_ONCE, MISSING_AT_MOST = 10, 50, 500, 10000
local texts, lines = {}, {}

local function is_over() return slice_is_over(SWEEP_S) end

local function size(command, key) return lenient(command, key) or 0 end

-- Whether a round is on, or nil and when this worker is to ask again.
local function take_part(known)
  local heard_ms, begun_ms = number(known[2]) or 0, number(known[3])
  if begun_ms and begun_ms > now_ms then -- the clock was set back
    begun_ms = nil
    redis.call("DEL", missing, sought)
  end
  local is_on = begun_ms and (known[4] or size("ZCARD", missing) > 0 or size("HLEN", sought) > 0)
  if is_on then
    local is_others = known[1] ~= worker and heard_ms <= now_ms and heard_ms > now_ms - SILENT_MS
    return not is_others, ASK_MS
  end
  if begun_ms and now_ms - begun_ms < ROUND_MS then return false, begun_ms + ROUND_MS - now_ms end
  redis.call("HSET", sweep, "begun_ms", now_ms, "cursor", "0")
  return true
end

local function scan_some(cursor)
  local found = redis.call("SCAN", cursor, "MATCH", RQ_JOB .. "*", "COUNT", SCANNED_AT_ONCE)
  for _, key in ipairs(found[2]) do
    local id = string.sub(key, #RQ_JOB + 1)
    local state = not string.find(id, ":", 1, true) and read_state(id) -- else RQ's sets of dependents
    if state and not is_in_its_place(state) then
      redis.call("ZADD", missing, "NX", now_ms, mark_of(state))
    end
  end
  return found[1]
end

local function scan(cursor)
  while cursor and size("ZCARD", missing) < MISSING_AT_MOST do
    cursor = scan_some(cursor)
    if cursor == "0" then cursor = nil end
    if is_over() then break end
  end
  if cursor then
    redis.call("HSET", sweep, "cursor", cursor)
  else
    redis.call("HDEL", sweep, "cursor")
  end
  return cursor
end

-- Begins to seek those that have been missing for long enough, of one bucket.
local function begin_to_seek()
  local due = redis.call("ZRANGEBYSCORE", missing, "-inf", now_ms - MISSING_MS, "LIMIT", 0, SOUGHT_AT_ONCE)
  local bucket
  for _, mark in ipairs(due) do
    local state = cjson.decode(mark)
    bucket = bucket or state[1]
    if state[1] == bucket then
      redis.call("HSET", sought, state[2], mark)
      redis.call("ZREM", missing, mark)
    end
  end
  redis.call("HDEL", sweep, "walk_list", "walk_place", "walk_entry")
end

-- Where in the list the walk goes on: at the entry that it saw last. Entries that come and go move
-- others, but never from behind that one to before it. If it is gone, the list is walked anew.
local function walked_to(list, place, entry)
  if not entry then return 0 end
  local index = math.max(0, place - head_of(queue_name(list)))
  if lenient("LINDEX", list, index) == entry then return index end
  return entry ~= BLANK and find_near(list, entry, index) or 0
end

-- Whoever is met on the way is in a queue, and not sought any more. Returns false until all
-- queues of the bucket were walked through.
local function walk(marks, known)
  local ids, bucket = {}, cjson.decode(marks[2])[1]
  for i = 1, #marks, 2 do ids[marks[i]] = true end
  local lists = queue_keys(bucket)
  local number_of_list, place, entry = number(known[5]) or 1, number(known[6]) or 0, known[7]
  while number_of_list <= #lists do
    local list = lists[number_of_list]
    local from = walked_to(list, place, entry)
    local entries = lenient("LRANGE", list, from, from + WALKED_AT_ONCE - 1) or {}
    for _, id in ipairs(entries) do
      if ids[id] then redis.call("HDEL", sought, id) end
    end
    if #entries < WALKED_AT_ONCE then
      number_of_list, place, entry = number_of_list + 1, 0, false
    else
      place, entry = head_of(queue_name(list)) + from + #entries - 1, entries[#entries]
    end
    if is_over() then break end
  end
  redis.call("HSET", sweep, "walk_list", number_of_list)
  redis.call("HDEL", sweep, "walk_place", "walk_entry")
  if entry then redis.call("HSET", sweep, "walk_place", place, "walk_entry", entry) end
  return number_of_list > #lists
end

local function bring_back_if_lost(id, mark)
  local state = read_state(id)
  if state and mark_of(state) == mark and not is_anywhere(state) then
    local text, token, line = bring_back(state, now_us, lease_ms, keep_s, worker)
    texts[#texts + 1] = text
    if token then
      lines[#lines + 1] = token
      lines[#lines + 1] = line
    end
  end
  redis.call("HDEL", sought, id)
end

local function seek(known)
  local marks = redis.call("HGETALL", sought)
  if not walk(marks, known) then return end
  for i = 1, #marks, 2 do
    if redis.call("HEXISTS", sought, marks[i]) == 1 then bring_back_if_lost(marks[i], marks[i + 1]) end
    if is_over() then return end
  end
end

local function ms_until_more(cursor)
  if cursor or size("HLEN", sought) > 0 then return 0 end
  local first = redis.call("ZRANGE", missing, 0, 0, "WITHSCORES")
  if first[2] then return math.max(0, math.min(ASK_MS, first[2] + MISSING_MS - now_ms)) end
  return math.max(1, redis.call("HGET", sweep, "begun_ms") + ROUND_MS - now_ms)
end

local known = lenient("HMGET", sweep, "worker", "heard_ms", "begun_ms", "cursor", "walk_list",
  "walk_place", "walk_entry") or {}
local is_mine, wait_ms = take_part(known)
if not is_mine then return { wait_ms, texts, lines } end
redis.call("HSET", sweep, "worker", worker, "heard_ms", now_ms)
if size("HLEN", sought) == 0 then
  begin_to_seek()
  known = { unpack(known, 1, 4) }
end
local cursor = redis.call("HGET", sweep, "cursor")
if size("HLEN", sought) > 0 then
  seek(known)
else
  cursor = scan(cursor)
end
for _, key in ipairs(KEYS) do redis.call("EXPIRE", key, KEPT_S) end
return { ms_until_more(cursor), texts, lines }
