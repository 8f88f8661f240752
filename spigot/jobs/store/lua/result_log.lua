-- requires: times, bucket
--[[
Functions that write the lines of the result log, which a worker takes from here to its file.
]]
-- What the type wants logged; {} if that is no JSON, or would take more than one line.
local function logged(text)
  if not text or string.find(text, "%c") or not pcall(cjson.decode, text) then return "{}" end
  return text
end

-- One line of the result log, kept until a worker has written it to its file. `owner` is the
-- worker that will; another adopts the line when that one is gone.
local LOGGED = { "spigot_type", "spigot_log", "spigot_enqueued_us", "enqueued_at", "description",
  "spigot_attempts" }

local function read_logged(id)
  local job, values = {}, lenient("HMGET", RQ_JOB .. id, unpack(LOGGED)) or {}
  for i = 1, #LOGGED do job[LOGGED[i]] = values[i] or nil end
  return job
end

-- `entry.known` has the fields of a job of ours, if they were read before.
local function log_line(entry)
  local job = entry.known and entry.known.spigot_type and entry.known or read_logged(entry.job)
  local enqueued_us = number(job.spigot_enqueued_us) or utc_us(job.enqueued_at or "")
  local type = entry.type or job.spigot_type or string.match(job.description or "", "^[%w_%.]+") or "rq"
  local slot_us = entry.slot_us
  entry.counted_as = job.spigot_type or "rq"
  local line = '{"time":"' .. utc_text(entry.now_us) .. '","id":' .. cjson.encode(entry.job)
    .. ',"type":' .. cjson.encode(type) .. ',"bucket":' .. cjson.encode(entry.bucket)
    .. ',"status":"' .. entry.status
    .. '","attempt":' .. string.format("%d", entry.attempt or number(job.spigot_attempts) or 0)
    .. ',"worker":' .. (entry.worker and cjson.encode(entry.worker) or "null")
    .. ',"queued_for":' .. seconds(enqueued_us and math.max(0, (slot_us or entry.now_us) - enqueued_us))
    .. ',"ran_for":' .. seconds(slot_us and math.max(0, entry.now_us - slot_us))
    .. ',"slot_at":' .. seconds(slot_us)
    .. (entry.error and ',"error":' .. cjson.encode(entry.error) or ',"result":' .. (entry.result or "null"))
    .. ',"log":' .. (job.spigot_log and logged(job.spigot_log) or "{}") .. "}"
  lenient("HSET", bucket_key(entry.bucket) .. ":unlogged", entry.token, entry.owner .. "\n" .. line)
  return line
end
