-- requires: bucket, ended_jobs
--[[
Remove what is kept of one job, if it has ended.

ARGV[1] job id

Returns 1 if it was removed; 0 if it has not ended, or there is no such job
]]
local id = ARGV[1]

local job = redis.call("HMGET", RQ_JOB .. id, "status", "origin")
if not ENDED[job[1]] then return 0 end
forget_job(id, job[2] or "")
return 1
