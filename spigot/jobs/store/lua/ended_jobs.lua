-- requires: bucket
--[[
Functions that remove what is kept of a job that has ended.
]]
local REGISTRIES_OF_ENDED = { "finished", "failed", "canceled" }

-- A job whose dependents nobody released yet is left to expire: they could not be found without it.
local function forget_job(id, queue)
  for _, registry in ipairs(REGISTRIES_OF_ENDED) do
    lenient("ZREM", "rq:" .. registry .. ":" .. queue, id)
  end
  if lenient("SISMEMBER", bucket_key(bucket_of(queue)) .. ":dependents", id) == 1 then return end
  local job = RQ_JOB .. id
  redis.call("DEL", job, job .. ":dependents", "rq:job::" .. id .. ":dependencies",
    "rq:results:" .. id, "rq:executions:" .. id)
end
