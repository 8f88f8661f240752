-- requires: times, bucket, changes, delayed
--[[
Functions that heed that the server's clock may be set back, by a failover or by hand: all that waits
for a time would wait longer by as much.

`clock_us` of a bucket's hash is the last time that a worker looked at the bucket, or that something
was to wait. If it lies ahead, the bucket's times go back by as much as the clock did, before another
one is written; those of delayed jobs, of which there may be many, in slices (delayed.lua). Nothing
tells a clock that was set forward from a server that was away.
]]
local SET_BACK_US = SECOND_US -- by less than this it does no harm

local function was_set_back(last_us, now_us) return (last_us or 0) - now_us > SET_BACK_US end

local MOST_IN_A_COMMAND = 1000

-- Of a sorted set that is scored by ms. Rounded so that nothing comes too early.
local function move_scores(set, back_ms)
  local entries, moved = lenient("ZRANGE", set, 0, -1, "WITHSCORES") or {}, {}
  for i = 1, #entries, 2 do
    moved[#moved + 1] = tonumber(entries[i + 1]) - back_ms
    moved[#moved + 1] = entries[i]
    if #moved == 2 * MOST_IN_A_COMMAND or i + 1 == #entries then
      redis.call("ZADD", set, "XX", unpack(moved))
      moved = {}
    end
  end
end

-- Of a hash, those that lie further ahead than any slot can.
local function move_fields(hash, back_us, now_us, is_time)
  local fields, moved = lenient("HGETALL", hash) or {}, {}
  for i = 1, #fields, 2 do
    local us = is_time(fields[i]) and number(fields[i + 1])
    if us and us > latest_slot_us(now_us) then
      moved[#moved + 1] = fields[i]
      moved[#moved + 1] = string.format("%.0f", us - back_us)
    end
  end
  if #moved > 0 then redis.call("HSET", hash, unpack(moved)) end
end

local MOVED = { held_until_us = true, heard_us = true }

-- The time is noted first: what a script that fails half-way leaves undone is late, and never early.
local function set_clock_back(name, last_us, now_us)
  local key, back_us = bucket_key(name), last_us - now_us
  redis.call("HSET", key, "clock_us", now_us)
  begin_move(name, ms(back_us))
  for _, set in ipairs({ ":leases", ":workers" }) do move_scores(key .. set, ms(back_us)) end
  move_fields(key, back_us, now_us, function(field) return MOVED[field] end)
  move_fields(key .. ":budgets", back_us, now_us, function(field) return string.find(field, "_us$") end)
  redis.call("HDEL", key, "cell", "alone_ms")
  lenient("DEL", key .. ":waiters")
  wake(name)
  keep_change(name, now_us, "the server's clock", { clock = { utc_text(last_us), utc_text(now_us) } })
end

-- Before something is written that is to wait for a time.
local function heed_clock(name, now_us)
  local key = bucket_key(name)
  local last_us = number(lenient("HGET", key, "clock_us")) or 0
  if was_set_back(last_us, now_us) then set_clock_back(name, last_us, now_us) end
  if now_us - last_us > SET_BACK_US and redis.call("EXISTS", key) == 1 then
    redis.call("HSET", key, "clock_us", now_us)
  end
end
