-- requires: bucket
--[[
Wake a worker because a job of plain RQ was pushed and still waits. For a job of Spigot,
enqueue.lua has done it.

ARGV[1] bucket  name
ARGV[2] job id
]]
local is_ours = redis.call("HEXISTS", RQ_JOB .. ARGV[2], "spigot_enqueued_us") == 1
if not is_ours and waiting_in(queue_keys(ARGV[1])) > 0 then wake(ARGV[1]) end
