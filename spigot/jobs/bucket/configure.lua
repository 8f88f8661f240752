-- requires: times, bucket, changes, changed_budgets
--[[
Set some of a bucket's numbers and switches: what the file says, what an operator says.

KEYS[1] bucket   hash; what an operator says is in operator_NAME, what the file says in
                 file_NAME, what counts where it is silent in default_NAME; the first of these
                 that is set is in NAME, which is all that other scripts read
KEYS[2] buckets  set of names

ARGV[1] bucket     name
ARGV[2] by         who changes it, kept in the list of changes; "" keeps nothing there
ARGV[3] now_us     Unix time, or "" for the clock of Redis (only tests pass it)
ARGV[4…] fields    alternating SOURCE_NAME and value; an empty value takes back what this source set;
                   SOURCE is operator, file or default, NAME is rate, interval_us, burst,
                   capacity, max_running (0: no limit), workers, paused, draining or budgets (lines
                   as budgets.lua reads them; an operator's alter those of the others, and no more)

Returns alternating name, former and present value of all that changed and counts; nil if nobody
published the bucket's numbers before and these are not the file's, which must then come first;
the schema of a bucket that a newer version wrote, of which nothing was changed
]]
local bucket, by, now_us = KEYS[1], ARGV[2], clock_us(ARGV[3])
local changed = {}

local function set(source_field, value)
  if value == "" then
    redis.call("HDEL", bucket, source_field)
  elseif source_field == "operator_" .. "budgets" then
    redis.call("HSET", bucket, source_field, joined(redis.call("HGET", bucket, source_field) or "", value))
  else
    redis.call("HSET", bucket, source_field, value)
  end
end

local function sources_of(field)
  return redis.call("HMGET", bucket, "operator_" .. field, "file_" .. field, "default_" .. field, field)
end

local function settle(field)
  local values = sources_of(field)
  local counts, counted = values[1] or values[2] or values[3] or "", values[4] or ""
  if counts == counted then return end
  redis.call("HSET", bucket, field, counts)
  for _, part in ipairs({ field, counted, counts }) do changed[#changed + 1] = part end
end

local function settle_budgets_field()
  local values = sources_of("budgets")
  local before, after = values[4] or "", overlaid(values[2] or values[3] or "", values[1] or "")
  if before == after then return end
  change_budgets(ARGV[1], before, after, now_us)
  redis.call("HSET", bucket, "budgets", after)
  local old, new = readable_budgets(before), readable_budgets(after)
  local names = {}
  for name in pairs(old) do names[name] = true end
  for name in pairs(new) do names[name] = true end
  for name in pairs(names) do
    if old[name] ~= new[name] then
      for _, part in ipairs({ "budget " .. name, old[name] or "", new[name] or "" }) do changed[#changed + 1] = part end
    end
  end
end

-- Versions that do not know budgets must leave the bucket alone.
local function schema_of()
  local known = redis.call("HMGET", bucket, "budgets", "schema")
  return (known[1] or "") ~= "" and SCHEMA_WITH_BUDGETS or SCHEMA, tonumber(known[2] or nil)
end

-- What follows from another field needs no line of its own.
local function keep_record()
  local changes = {}
  for i = 1, #changed, 3 do
    if changed[i] ~= "interval_us" and changed[i] ~= "burst" then
      changes[changed[i]] = { changed[i + 1], changed[i + 2] }
    end
  end
  keep_change(ARGV[1], now_us, by, changes)
end

-- A hash is searched field by field until a value is longer than 64 bytes, and each job reads and
-- writes dozens of fields of these two.
local function quicken()
  local padding = string.rep(" ", 80)
  lenient("HSETNX", bucket, "padding", padding)
  lenient("HSETNX", bucket .. ":stats", "padding", padding)
end

local is_new = redis.call("HEXISTS", bucket, "interval_us") == 0
if is_new and not (ARGV[4] and string.find(ARGV[4], "^file_")) then return nil end
local known, schema = schema_of()
if schema and schema > known then return schema end
for i = 4, #ARGV, 2 do set(ARGV[i], ARGV[i + 1]) end
for i = 4, #ARGV, 2 do
  local field = string.gsub(ARGV[i], "^%l+_", "")
  if field == "budgets" then settle_budgets_field() else settle(field) end
end
known = schema_of()
if schema ~= known then redis.call("HSET", bucket, "schema", known) end
lenient("SADD", KEYS[2], ARGV[1])
quicken()
if #changed > 0 then
  if by ~= "" and not is_new then keep_record() end
  wake(ARGV[1])
end
return changed
