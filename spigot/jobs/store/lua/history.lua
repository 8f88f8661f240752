-- requires: times, bucket
--[[
Functions that keep what a bucket did in the last 30 minutes: `…:history` is a string of CELLS cells
of CELL_US each, each of five numbers of fixed width, in the place that its number has modulo CELLS:

number      Unix time divided by CELL_US: a cell of another round is older
starts      jobs that started in it
waiting     jobs that waited when it was written last
interval    us between two leaks, then
until       0; PAUSED; or until when the bucket was held, in Unix seconds

Of the bucket's hash, `cell`, `cell_starts` and `cell_waiting` are those of the last cell. A start
costs one command. A bucket in which nothing waits writes nothing.
]]
local CELL_US, CELLS = 5 * SECOND_US, 360
local CELL_FORMAT, CELL_BYTES = "%9d%7d%8d%12d%11d", 47
local PAUSED = 1

local function cell_of(us) return math.floor(us / CELL_US) end

local function starts_in(bucket, cell) return bucket.cell == cell and bucket.cell_starts or 0 end

local function write_cell(bucket, cell, starts, waiting, until_s)
  try("SETRANGE", bucket_key(bucket.name) .. ":history", (cell % CELLS) * CELL_BYTES,
    string.format(CELL_FORMAT, cell, math.min(starts, 9999999), math.min(waiting, 99999999),
      math.min(bucket.interval_us, 99999999999), until_s))
end

-- How a worker finds the bucket from which nothing starts: once a cell, as long as jobs wait.
local function note_look(bucket, now_us, waiting, paused)
  local cell = cell_of(now_us)
  if cell <= bucket.cell or (waiting == 0 and bucket.cell_waiting == 0) then return end
  local held_s = bucket.held_until_us > now_us and math.floor(bucket.held_until_us / SECOND_US) or 0
  try("HSET", bucket_key(bucket.name), "cell", cell, "cell_starts", 0, "cell_waiting", waiting)
  write_cell(bucket, cell, 0, waiting, paused and PAUSED or held_s)
end

-- From now on the bucket is held.
local function note_hold(bucket, now_us, until_us)
  local cell = cell_of(now_us)
  local starts, waiting = starts_in(bucket, cell), waiting_in(queue_keys(bucket.name))
  try("HSET", bucket_key(bucket.name), "cell", cell, "cell_starts", starts, "cell_waiting", waiting)
  write_cell(bucket, cell, starts, waiting, math.floor(until_us / SECOND_US))
end
