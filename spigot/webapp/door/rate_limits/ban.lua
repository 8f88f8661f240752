--[[
Ban one client for a while.

KEYS[1]  ban          string: Unix time in us at which the ban ends; absent: not banned
KEYS[2]  bans         sorted set {client: the same time}, to list them; absent: nobody is banned

ARGV[1]  client       the name that its requests are counted under
ARGV[2]  duration_us  how long from now, >= 1; a ban that stands is replaced

Returns the Unix time in us at which the ban ends. Both keys expire with the bans they hold.
]]
local ban, bans, client, duration_us = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2])

local time = redis.call("TIME")
local now_us = time[1] * 1000000 + time[2]
local ends_us = now_us + duration_us

redis.call("SET", ban, string.format("%.0f", ends_us), "PX", math.ceil(duration_us / 1000))
redis.call("ZREMRANGEBYSCORE", bans, "-inf", string.format("%.0f", now_us))
redis.call("ZADD", bans, string.format("%.0f", ends_us), client)
local last = redis.call("ZRANGE", bans, -1, -1, "WITHSCORES")
redis.call("PEXPIREAT", bans, string.format("%.0f", math.ceil(last[2] / 1000)))
return ends_us
