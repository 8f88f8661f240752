-- requires: times, budgets, attempts, settlements, upstream_limits
--[[
Charge a running attempt for what it used beyond what it reserved, and note what its downstream says
of its own limits. What was charged before is not charged again.

KEYS[1] lease   hash; no key means that the attempt has ended, or was given to somebody else

ARGV[1] token   of the attempt
ARGV[2] used    all that it used, "tokens=1500000000" in millionths; "" for nothing
ARGV[3] noted   what its downstream said, as upstream_limits.lua reads it; "" for nothing
ARGV[4] now_us  Unix time, or "" for the clock of Redis (only tests pass it)

Returns 1, or 0 if the lease is gone: then nothing was changed, and the end of the attempt settled it
]]
local lease, now_us = read_lease(ARGV[1]), clock_us(ARGV[4])
if not lease then return 0 end
if lease.budgets then charge_overuse(lease, amounts_in(ARGV[2]), now_us) end
if ARGV[3] ~= "" then note_upstream(lease.bucket, ARGV[3], now_us) end
return 1
