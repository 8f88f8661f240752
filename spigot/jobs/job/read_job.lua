-- requires: times, job_state, running_times
--[[
Read one job, with its position and the time at which it should start: jobs run as long as past ones
did, or as long as those that run have taken already.

ARGV[1] job id
ARGV[2] now_us  Unix time, or "" for the clock of Redis (only tests pass it)

Returns what `describe` in job_state.lua returns; no fields if there is no such job
]]
return describe(ARGV[1], clock_us(ARGV[2]), "state", reckon_runs, wait_for_places)
