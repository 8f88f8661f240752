-- requires: bucket
--[[
Functions that know when delayed jobs are due: their scores in the bucket's sorted set `:delayed`, in ms.

When the server's clock is set back, all scores are to go back as well; 100,000 of them would hold the
server for a second. So they go in slices, the first due first, and until its slice comes a job is late,
never early. Two fields of the bucket's hash tell how far that is, absent if it is done:
`delayed_back_ms`, by how much scores go back, and `delayed_from_ms`: scores from this one on have
still to go back.
]]
local MOVED_AT_ONCE = 500

local function read_move(name)
  local move = lenient("HMGET", bucket_key(name), "delayed_back_ms", "delayed_from_ms") or {}
  return number(move[1]) or 0, number(move[2]) or 0
end

-- The score of a job that is due at this time.
local function delayed_score(name, due_us)
  local due_ms, back_ms, from_ms = math.ceil(due_us / 1000), read_move(name)
  return back_ms > 0 and due_ms >= from_ms and due_ms + back_ms or due_ms
end

-- When a job of this score is due.
local function due_ms_of(name, score)
  local back_ms, from_ms = read_move(name)
  return back_ms > 0 and score >= from_ms and score - back_ms or score
end

-- Moves one slice. Returns whether there is more. How far it has come is noted first: what a script that
-- fails half-way leaves undone is late.
local function move_delayed(name)
  local key, back_ms, from_ms = bucket_key(name), read_move(name)
  if back_ms <= 0 then return false end
  local entries = lenient("ZRANGEBYSCORE", key .. ":delayed", from_ms, "+inf", "WITHSCORES",
    "LIMIT", 0, MOVED_AT_ONCE) or {}
  local next_ms, moved = #entries == 2 * MOVED_AT_ONCE and number(entries[#entries]), {}
  for i = 1, #entries, 2 do
    moved[i], moved[i + 1] = tonumber(entries[i + 1]) - back_ms, entries[i]
  end
  if next_ms then
    redis.call("HSET", key, "delayed_from_ms", next_ms)
  else
    redis.call("HDEL", key, "delayed_back_ms", "delayed_from_ms")
  end
  if #moved > 0 then redis.call("ZADD", key .. ":delayed", "XX", unpack(moved)) end
  return next_ms and true or false
end

-- From now on all scores are of the earlier clock. One that is set back again before the last slice is
-- rare enough to be waited for.
local function begin_move(name, back_ms)
  while move_delayed(name) do end
  if redis.call("EXISTS", bucket_key(name) .. ":delayed") == 0 then return end
  redis.call("HSET", bucket_key(name), "delayed_back_ms", back_ms, "delayed_from_ms", 0)
end
