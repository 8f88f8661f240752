-- requires: times, polling
--[[
Count the pollers of a bucket that are alive, for a worker that sleeps.

KEYS[1] pollers  sorted set of the pollers by the millisecond by which they will have looked;
                 absent if there are none

ARGV[1] now_us   Unix time, or "" for the clock of Redis (only tests pass it)

Returns how many there are
]]
local alive_from_ms = ms(clock_us(ARGV[1])) - DEAD_MS
return redis.call("ZCOUNT", KEYS[1], alive_from_ms, "+inf")
