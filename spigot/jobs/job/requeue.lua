-- requires: times, bucket, job_state, failed_jobs
--[[
Let a job that failed wait in its queue again, unless the bucket is full.

ARGV[1] job id
ARGV[2] now_us  Unix time, or "" for the clock of Redis (only tests pass it)

Returns what `describe` in job_state.lua returns, with the word "requeued", or "kept" if the job
has not failed; or why it may not wait, as `let_wait_again` in failed_jobs.lua says
]]
local id, now_us = ARGV[1], clock_us(ARGV[2])

local fields = redis.call("HMGET", RQ_JOB .. id, "status", "origin")
local status, queue = fields[1], fields[2] or ""
if status ~= "failed" then return describe(id, now_us, "kept") end
return let_wait_again(id, queue, now_us) or describe(id, now_us, "requeued")
