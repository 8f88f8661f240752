-- requires: times, bucket, bucket_stats, history, running_times
--[[
Read what the pages show of a bucket besides its state. The work does not grow with what waits in it.

ARGV[1] bucket    name
ARGV[2] keep_s    how long ended jobs are kept: registries of ended jobs are sorted by end + keep_s
ARGV[3] recent_s  how far back the recent ends reach, >= 1
ARGV[4] now_us    Unix time, or "" for the clock of Redis (only tests pass it)

Returns {now_us, {mean run in us or 0, run to expect in us or 0, longest that one has run in us or 0,
what those have that run longer than expected in us, jobs that each of these stands for, in millionths},
last slot in us or 0, jobs that failed, jobs that failed recently, jobs that finished recently, history
or "", last changes, jobs that the bucket refused in the last hour}
]]
local name, keep_s, recent_s = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now_us = clock_us(ARGV[4])
local key = bucket_key(name)
local SHOWN_CHANGES = 20
local MICRO = 1000000

local function ended(registry)
  local all, recent = 0, 0
  for _, list in ipairs(queue_keys(name)) do
    local set = "rq:" .. registry .. ":" .. queue_name(list)
    local since_s = math.floor(now_us / SECOND_US) + keep_s - recent_s
    all = all + size_of(set)
    recent = recent + (lenient("ZCOUNT", set, since_s, since_s + recent_s + 5) or 0)
  end
  return all, recent
end

-- The cells, and behind them the last one, if the string does not have its starts yet.
local function read_cells()
  local stored = read_history(name)
  local _, last = unwritten_cell(name, stored)
  return stored .. (#stored % CELL_BYTES == 0 and last or "")
end

local failed, failed_recently = ended("failed")
local _, finished_recently = ended("finished")
local numbers = lenient("HMGET", key, "mean_run_us", "last_slot_us") or {}
local mean_us = number(numbers[1]) or 0
local runs = reckon_runs(name, mean_us, now_us)
local told = { mean_us, runs.mean_us, runs.longest_us, runs.longer, math.floor(runs.each * MICRO + 0.5) }
return { now_us, told, number(numbers[2]) or 0, failed, failed_recently,
  finished_recently, read_cells(),
  lenient("LRANGE", key .. ":changes", 0, SHOWN_CHANGES - 1) or {},
  refused_lately(name, now_us) }
