-- requires: times, bucket
--[[
Functions that group failed jobs by bucket, error and place, so that a thousand failures are a few
lines to read.
]]
-- 16 hexadecimal digits for a text: two hashes of the kind h * n + byte. Redis's own sha1hex is not
-- in every imitation of the server.
local function short_hash(text)
  local one, other = 5381, 5381
  for i = 1, #text do
    local byte = string.byte(text, i)
    one, other = (one * 33 + byte) % 4294967296, (other * 65599 + byte) % 4294967296
  end
  return string.format("%08x%08x", one, other)
end

-- Called after the move: what is done again when a script failed half-way must not count again.
-- `place` is where the application raised the error, or "". A group goes keep_s after its last
-- failure; of more than 1,000 groups, those that failed last are kept.
local function note_failure(entry, place, trace, keep_s)
  local index, at_ms, type = "spigot:1:failures", ms(entry.now_us), entry.type or entry.counted_as
  local error = string.match(entry.error, "^[^:%s]+") or "unknown"
  local id = short_hash(entry.bucket .. "\n" .. error .. "\n" .. place)
  local group, job = "spigot:1:failure:" .. id, RQ_JOB .. entry.job
  local types = try("HGET", group, "types") or ""
  if not string.find("\n" .. types .. "\n", "\n" .. type .. "\n", 1, true) and #types < 1000 then
    types = types == "" and type or types .. "\n" .. type
  end
  try("HSETNX", group, "first_us", entry.now_us)
  try("HSET", group, "last_us", entry.now_us, "bucket", entry.bucket, "error", error, "place", place,
    "types", types, "message", entry.error, "job", entry.job, "trace", trace)
  try("HINCRBY", group, "count", 1)
  try("EXPIRE", group, keep_s)
  try("ZADD", index, at_ms, id)
  try("EXPIRE", index, keep_s)
  try("ZREMRANGEBYSCORE", index, "-inf", at_ms - keep_s * 1000)
  for _, oldest in ipairs(try("ZRANGE", index, 0, -1001) or {}) do
    try("DEL", "spigot:1:failure:" .. oldest)
    try("ZREM", index, oldest)
  end
  if try("EXISTS", job) == 1 then try("HSET", job, "spigot_failure", id) end
end
