-- requires: times, bucket, attempts, lease_times
--[[
Renew the leases of a worker's running attempts, and the worker's own signs of life.

ARGV[1] bucket      name
ARGV[2] worker      name
ARGV[3] lease_ms    how long the leases stand from now on, >= 1
ARGV[4] outage_threshold_ms  how long after the last contact of any worker the server counts as
                    having been away, >= 1
ARGV[5] alive_ms    how long the worker counts as alive from now on, >= 1
ARGV[6] rq_ttl_s    the same for RQ's record of the worker
ARGV[7] now_us      Unix time, or "" for the clock of Redis (only tests pass it)
ARGV[8…] tokens     of the attempts, none or more

Returns {lost, cancelled}: the tokens whose lease is gone, because those attempts belong to
somebody else, and those of jobs that are to stop
]]
local name, worker = ARGV[1], ARGV[2]
local lease_ms, outage_threshold_ms, alive_ms = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local rq_ttl_s, now_us = tonumber(ARGV[6]), clock_us(ARGV[7])
local leases = bucket_key(name) .. ":leases"

extend_after_outage(name, now_us, lease_ms, outage_threshold_ms)
lenient("ZADD", bucket_key(name) .. ":workers", ms(now_us) + alive_ms, worker)
seen_by_rq(worker, now_us, rq_ttl_s)
local lost, cancelled = {}, {}
for i = 8, #ARGV do
  local lease = read_lease(ARGV[i])
  if not lease then
    lost[#lost + 1] = ARGV[i]
  else
    renew(leases, ARGV[i], ms(now_us) + lease_ms)
    if is_cancelled(lease.job) then cancelled[#cancelled + 1] = ARGV[i] end
  end
end
return { lost, cancelled }
