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
local function log_line(entry)
  local job = lenient("HMGET", RQ_JOB .. entry.job, "spigot_type", "spigot_log",
    "spigot_enqueued_us", "enqueued_at", "description", "spigot_attempts") or {}
  local enqueued_us = number(job[3]) or utc_us(job[4] or "")
  local type = entry.type or job[1] or string.match(job[5] or "", "^[%w_%.]+") or "rq"
  local slot_us = entry.slot_us
  entry.counted_as = job[1] or "rq"
  local line = '{"time":"' .. utc_text(entry.now_us) .. '","id":' .. cjson.encode(entry.job)
    .. ',"type":' .. cjson.encode(type) .. ',"bucket":' .. cjson.encode(entry.bucket)
    .. ',"status":"' .. entry.status
    .. '","attempt":' .. string.format("%d", entry.attempt or number(job[6]) or 0)
    .. ',"worker":' .. (entry.worker and cjson.encode(entry.worker) or "null")
    .. ',"queued_for":' .. seconds(enqueued_us and math.max(0, (slot_us or entry.now_us) - enqueued_us))
    .. ',"ran_for":' .. seconds(slot_us and math.max(0, entry.now_us - slot_us))
    .. ',"slot_at":' .. seconds(slot_us)
    .. (entry.error and ',"error":' .. cjson.encode(entry.error) or ',"result":' .. (entry.result or "null"))
    .. ',"log":' .. logged(job[2]) .. "}"
  lenient("HSET", bucket_key(entry.bucket) .. ":unlogged", entry.token, entry.owner .. "\n" .. line)
  return line
end
