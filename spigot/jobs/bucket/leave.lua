-- requires: bucket, polling
--[[
A worker leaves the bucket.

ARGV[1] bucket   name
ARGV[2] worker   name
ARGV[3…] logged  tokens whose lines are now in a result log
]]
local name, worker = ARGV[1], ARGV[2]
redis.call("ZREM", bucket_key(name) .. ":workers", worker)
for i = 3, #ARGV do redis.call("HDEL", bucket_key(name) .. ":unlogged", ARGV[i]) end
-- it may have taken the bell's token with it
pass_watch_on(name, worker, waiting_in(queue_keys(name)) > 0)
