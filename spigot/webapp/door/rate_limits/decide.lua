--[[
Decide one request against all of its rate limits: spend from every one of them, or from none.

KEYS[1] ..   ban    string: Unix time in us at which the client's ban ends; absent: not banned
then         state  string, one per rule, numbers packed as doubles:
                    bucket: level, stamp_us, token; absent: full
                    window: spent, start_us; absent: none is open

ARGV[1]  now_us     Unix time, or "" for the clock of the server (only tests pass it)
ARGV[2]  spend      1, or 0 to look only
ARGV[3]  bans       how many of the keys are bans, >= 0
ARGV[4]  ...        one per rule, packed as ">BBdddd" (RULE in rule_cost.py):
         algorithm  1 bucket, 2 window
         enforced   1, or 0 in shadow mode: the rule is spent from if it admits, and refuses nothing
         full       units of a full bucket or of a window, 1 .. 2^53 - 1
         price      units that this request costs, >= 1; more than full is never paid
         pace       bucket: units earned per us, >= 1; window: its length in us, >= 1
         token      bucket: units of one token, >= 1; window: 1

Returns {banned_us} if the client is banned, with the us until the ban ends; otherwise
{0, admitted 0|1, then for each rule: admits 0|1, level, pending_us}
         level       units that are left after the decision
         pending_us  window: us until the open one ends, 0 if none is open
                     bucket: us until it earns again, 0 unless the clock was set back

A bucket's unit is such a part of a token that whole units are earned per us, so that all numbers
are whole and below 2^53, where a double is exact. They are packed, because reading and writing
digits would be a third of what the script costs.
Source: RFC 2697, section 3 (the meter of bucket C).
]]
local now_us, spend, bans = tonumber(ARGV[1]), ARGV[2] == "1", tonumber(ARGV[3])
local BUCKET, RULE = 1, ">BBdddd"

if not now_us then
  local time = redis.call("TIME")
  now_us = time[1] * 1000000 + time[2]
end

local stored = redis.call("MGET", unpack(KEYS))

for i = 1, bans do
  local ends_us = tonumber(stored[i] or 0)
  if ends_us > now_us then
    return { ends_us - now_us }
  end
end

local function read_bucket(state, full, pace, token)
  local level, stamp_us, old_token = struct.unpack(">ddd", state)
  if old_token ~= token then -- the rule was changed: the client keeps its tokens
    level = math.floor(level * token / old_token)
  end
  if stamp_us > now_us then -- the clock was set back: the time until then has been paid
    return math.min(full, level), stamp_us - now_us, stamp_us
  end
  return math.min(full, level + (now_us - stamp_us) * pace), 0, now_us
end

local function read_window(state, full, length_us)
  local spent, start_us = struct.unpack(">dd", state)
  local pending_us = start_us + length_us - now_us
  if pending_us <= 0 then
    return full, 0, now_us
  end
  return math.max(0, full - spent), pending_us, start_us
end

local reply, since_us = { 0, 1 }, {}
for i = 1, #KEYS - bans do
  local algorithm, enforced, full, price, pace, token = struct.unpack(RULE, ARGV[3 + i])
  local level, pending_us, since = full, 0, now_us
  local state = stored[bans + i]
  if state then
    local read = algorithm == BUCKET and read_bucket or read_window
    level, pending_us, since = read(state, full, pace, token)
  end
  local admits = price <= level
  if enforced == 1 and not admits then
    reply[2] = 0
  end
  local at = 3 * i
  reply[at], reply[at + 1], reply[at + 2] = admits and 1 or 0, level, pending_us
  since_us[i] = since
end

if reply[2] == 0 or not spend then
  return reply
end

for i = 1, #KEYS - bans do
  local at = 3 * i
  if reply[at] == 1 then
    local algorithm, _, full, price, pace, token = struct.unpack(RULE, ARGV[3 + i])
    local level, pending_us = reply[at + 1] - price, reply[at + 2]
    local state, lives_us
    if algorithm == BUCKET then
      state = struct.pack(">ddd", level, since_us[i], token)
      lives_us = pending_us + (full - level) / pace
    else
      pending_us = pending_us > 0 and pending_us or pace
      state = struct.pack(">dd", full - level, since_us[i])
      lives_us = pending_us
    end
    reply[at + 1], reply[at + 2] = level, pending_us
    redis.call("SET", KEYS[bans + i], state, "PX", math.ceil(lives_us / 1000))
  end
end
return reply
