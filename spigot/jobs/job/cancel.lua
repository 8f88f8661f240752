-- requires: times, bucket, bucket_stats, job_end, places, result_log, job_state, budgets
--[[
Cancel a job, wherever it is. One that waits is taken out; the worker of one that runs is told,
and a mark in the job's hash keeps it from running again should that worker die.

ARGV[1] job id
ARGV[2] keep_s  how long a cancelled job is kept, >= 1
ARGV[3] now_us  Unix time, or "" for the clock of Redis (only tests pass it)

Returns what `describe` in job_state.lua returns, with the word "cancelled" (it waited),
"stopping" (it runs) or "ended" (it had ended before: nothing was changed)
Source: rq.command.send_stop_job_command and rq.job.Job.cancel, RQ 2.12.
]]
local id, keep_s, now_us = ARGV[1], tonumber(ARGV[2]), clock_us(ARGV[3])
local job = RQ_JOB .. id

local function tell_worker(worker)
  redis.call("HSET", job, "spigot_stop", 1)
  try("PUBLISH", "rq:pubsub:" .. worker,
    cjson.encode({ command = "stop-job", job_id = id }))
end

local function take_out(queue, place)
  leave_queue(queue, id, place)
  lenient("ZREM", bucket_key(bucket_of(queue)) .. ":delayed", id)
  lenient("ZREM", "rq:scheduled:" .. queue, id)
  lenient("ZREM", "rq:deferred:" .. queue, id)
end

local function log(bucket, error)
  if redis.call("EXISTS", bucket_key(bucket)) == 0 then return nil end -- a queue of plain RQ only
  local entry = { now_us = now_us, job = id, bucket = bucket, status = "cancelled", error = error,
    token = string.format("cancelled:%s:%d", id, now_us), owner = "" }
  log_line(entry)
  return entry
end

local fields = redis.call("HMGET", job, "data", "status", "origin", "spigot_token", "worker_name",
  "spigot_place")
local status, queue, token, worker = fields[2], fields[3] or "", fields[4], fields[5]
if not fields[1] or ENDED[status] then return describe(id, now_us, "ended") end

local is_ours = not token or is_running(token)
if status == "started" and worker and is_ours then
  tell_worker(worker)
  return describe(id, now_us, "stopping")
end

local error = "Cancelled: before it ran"
local entry = log(bucket_of(queue), error)
cancel_job(id, queue, now_us, keep_s, error)
take_out(queue, number(fields[6]))
if has_budgets(bucket_of(queue)) then wake(bucket_of(queue)) end -- others may have waited behind it
if entry then count_end(entry) end
return describe(id, now_us, "cancelled")
