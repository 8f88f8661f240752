-- requires: times, bucket
--[[
Functions that keep what a bucket did in the last 30 minutes: `…:history` is a string of CELLS cells
of CELL_US each, each of five numbers of fixed width, in the place that its number has modulo CELLS:

number      Unix time divided by CELL_US: a cell of another round is older
starts      jobs that started in it
waiting     jobs that waited when it was written last
interval    us between two leaks, then
until       0; PAUSED; or until when the bucket was held, in Unix seconds

Of the bucket's hash, `cell`, `cell_starts` and `cell_waiting` are those of the last cell, and
`paced_us` its interval. Starts are counted there alone, and come into the string when the next cell
begins: who reads it adds the last cell. A bucket in which nothing waits writes nothing.
]]
local CELL_US = 5 * SECOND_US
local CELLS = 360
local CELL_FORMAT, CELL_BYTES = "%9d%7d%8d%12d%11d", 47
local PAUSED = 1

local function cell_of(us) return math.floor(us / CELL_US) end

local function starts_in(bucket, cell) return bucket.cell == cell and bucket.cell_starts or 0 end

local function place_of(cell) return (cell % CELLS) * CELL_BYTES end

local function cell_text(cell, starts, waiting, interval_us, until_s)
  return string.format(CELL_FORMAT, cell, math.min(starts, 9999999), math.min(waiting, 99999999),
    math.min(interval_us, 99999999999), until_s)
end

local function write_cell(name, cell, text)
  try("SETRANGE", bucket_key(name) .. ":history", place_of(cell), text)
end

local function read_history(name) return lenient("GET", bucket_key(name) .. ":history") or "" end

-- The last cell, if it has starts that the history does not tell of: number and text; else nil.
local function unwritten_cell(name, history)
  local known = {}
  local values = lenient("HMGET", bucket_key(name), "cell", "cell_starts", "cell_waiting", "paced_us") or {}
  for i = 1, 4 do known[i] = math.max(0, number(values[i]) or 0) end
  local cell, starts = known[1], known[2]
  if starts == 0 then return nil end
  local at = place_of(cell)
  local is_written = tonumber(string.sub(history, at + 1, at + 9)) == cell
    and tonumber(string.sub(history, at + 10, at + 16)) == math.min(starts, 9999999)
  if is_written then return nil end
  return cell, cell_text(cell, starts, known[3], math.max(1, known[4]), 0)
end

-- Before the hash tells of another cell.
local function keep_last_cell(name)
  local cell, text = unwritten_cell(name, read_history(name))
  if cell then write_cell(name, cell, text) end
end

-- With the first start in a cell.
local function begin_cell(bucket, cell)
  keep_last_cell(bucket.name)
  redis.call("HSET", bucket_key(bucket.name), "cell", cell, "cell_starts", 0, "paced_us", bucket.interval_us)
end

local function note_cell(bucket, cell, starts, waiting, until_s)
  if cell ~= bucket.cell then keep_last_cell(bucket.name) end
  try("HSET", bucket_key(bucket.name), "cell", cell, "cell_starts", starts, "cell_waiting", waiting)
  write_cell(bucket.name, cell, cell_text(cell, starts, waiting, bucket.interval_us, until_s))
end

-- How a worker finds the bucket from which nothing starts: once a cell, as long as jobs wait.
local function note_look(bucket, now_us, waiting, paused)
  local cell = cell_of(now_us)
  if cell <= bucket.cell then return end
  local waited = number(lenient("HGET", bucket_key(bucket.name), "cell_waiting")) or 0
  if waiting == 0 and waited == 0 then return end
  local held_s = bucket.held_until_us > now_us and math.floor(bucket.held_until_us / SECOND_US) or 0
  note_cell(bucket, cell, 0, waiting, paused and PAUSED or held_s)
end

-- From now on the bucket is held.
local function note_hold(bucket, now_us, until_us)
  local cell = cell_of(now_us)
  note_cell(bucket, cell, starts_in(bucket, cell), waiting_in(queue_keys(bucket.name)), math.floor(until_us / SECOND_US))
end
