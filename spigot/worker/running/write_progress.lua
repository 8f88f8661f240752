-- requires: bucket, attempts
--[[
Show how far the job of a running attempt is.

KEYS[1] lease     hash; no key means that the attempt has ended, or was given to somebody else

ARGV[1] token     of the attempt
ARGV[2] progress  JSON

Returns 1, or 0 if the lease is gone: then nothing was changed
]]
local lease = read_lease(ARGV[1])
if not lease then return 0 end
redis.call("HSET", RQ_JOB .. lease.job, "spigot_progress", ARGV[2])
job_changed(lease.job)
return 1
