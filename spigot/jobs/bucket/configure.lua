-- requires: times, bucket
--[[
Set some of a bucket's numbers and switches: what the file says, what an operator says.

KEYS[1] bucket   hash; what an operator says is in operator_NAME, what the file says in
                 file_NAME, what counts where it is silent in default_NAME; the first of these
                 that is set is in NAME, which is all that other scripts read
KEYS[2] buckets  set of names
KEYS[3] changes  list of JSON {at, by, changes}, newest first

ARGV[1] bucket     name
ARGV[2] by         who changes it, kept in the list of changes; "" keeps nothing there
ARGV[3] now_us     Unix time, or "" for the clock of Redis (only tests pass it)
ARGV[4…] fields    alternating SOURCE_NAME and value; an empty value takes back what this source set;
                   SOURCE is operator, file or default, NAME is rate, interval_us, burst,
                   capacity, max_running (0: no limit), workers, paused or draining

Returns alternating name, former and present value of all that changed and counts; nil if nobody
published the bucket's numbers before and these are not the file's, which must then come first;
the schema of a bucket that a newer version wrote, of which nothing was changed
]]
local KEPT_CHANGES = 100
local bucket, by, now_us = KEYS[1], ARGV[2], clock_us(ARGV[3])
local changed = {}

local function set(source_field, value)
  if value == "" then
    redis.call("HDEL", bucket, source_field)
  else
    redis.call("HSET", bucket, source_field, value)
  end
end

local function settle(field)
  local values = redis.call("HMGET", bucket, "operator_" .. field, "file_" .. field, "default_" .. field, field)
  local counts, counted = values[1] or values[2] or values[3] or "", values[4] or ""
  if counts == counted then return end
  redis.call("HSET", bucket, field, counts)
  for _, part in ipairs({ field, counted, counts }) do changed[#changed + 1] = part end
end

-- What follows from another field needs no line of its own.
local function keep_record()
  local changes = {}
  for i = 1, #changed, 3 do
    if changed[i] ~= "interval_us" and changed[i] ~= "burst" then
      changes[changed[i]] = { changed[i + 1], changed[i + 2] }
    end
  end
  local record = { at = utc_text(now_us), by = by, changes = changes }
  lenient("LPUSH", KEYS[3], cjson.encode(record))
  lenient("LTRIM", KEYS[3], 0, KEPT_CHANGES - 1)
end

local is_new = redis.call("HEXISTS", bucket, "interval_us") == 0
if is_new and not (ARGV[4] and string.find(ARGV[4], "^file_")) then return nil end
local schema = tonumber(redis.call("HGET", bucket, "schema") or nil)
if schema and schema > SCHEMA then return schema end
if schema ~= SCHEMA then redis.call("HSET", bucket, "schema", SCHEMA) end
for i = 4, #ARGV, 2 do set(ARGV[i], ARGV[i + 1]) end
for i = 4, #ARGV, 2 do settle((string.gsub(ARGV[i], "^%l+_", ""))) end
lenient("SADD", KEYS[2], ARGV[1])
if #changed > 0 then
  if by ~= "" and not is_new then keep_record() end
  wake(ARGV[1])
end
return changed
