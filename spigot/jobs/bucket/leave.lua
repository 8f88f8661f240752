-- requires: bucket, polling
--[[
A worker leaves the bucket.

ARGV[1] bucket   name
ARGV[2] worker   name
ARGV[3…] logged  tokens whose lines are now in a result log
]]
local name, worker = ARGV[1], ARGV[2]
redis.call("ZREM", bucket_key(name) .. ":workers", worker)
lenient("HDEL", bucket_key(name) .. ":concurrency", worker)
for i = 3, #ARGV do redis.call("HDEL", bucket_key(name) .. ":unlogged", ARGV[i]) end
-- the worker may have taken the wake-up token with it
hand_over_polling(name, worker, waiting_in(queue_keys(name)) > 0)
