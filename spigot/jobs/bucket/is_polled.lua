-- requires: bucket, polling
--[[
Tell one that sleeps whether somebody watches the bucket.

KEYS[1] waiters  sorted set of the watchers by the millisecond by which they will have looked

ARGV[1] now_us   Unix time, or "" for the clock of Redis (only tests pass it)

Returns 1 if one of them is alive, else 0
]]
local alive_from_ms = ms(clock_us(ARGV[1])) - DEAD_MS
return math.min(1, redis.call("ZCOUNT", KEYS[1], alive_from_ms, "+inf"))
