-- requires: bucket
--[[
Functions that reckon how long jobs of a bucket hold their places, for estimates that are read. They look
at running attempts, so that no script which starts, takes in or ends jobs calls them.

jobs/overview/run_times.py reckons with the same numbers, and a test compares the two.
]]
local ATTEMPTS_LOOKED_AT = 16 -- if more run, these stand for all
local PAST_ENDS = 8 -- as many make the mean, on the whole

-- How long some running attempts have taken, the shortest first.
local function times_taken(name, now_us)
  local taken = {}
  for _, token in ipairs(lenient("ZRANGE", bucket_key(name) .. ":leases", 0, ATTEMPTS_LOOKED_AT - 1) or {}) do
    local slot_us = number(lenient("HGET", lease_key(token), "slot_us"))
    if slot_us then taken[#taken + 1] = math.max(0, now_us - slot_us) end
  end
  table.sort(taken)
  return taken
end

-- {mean_us: how long a job runs, longer: what jobs that run longer have taken, the shortest first, each:
-- how many jobs each of these stands for, longest_us: what the job that has run longest has taken}.
-- `mean_us` is that of past jobs, 0 if there are none. What half of the running jobs have taken, if it
-- is more, counts as if so many had ended.
local function reckon_runs(name, mean_us, now_us)
  local taken, longer = times_taken(name, now_us), {}
  if #taken == 0 then return { mean_us = mean_us, longer = longer, each = 1, longest_us = 0 } end
  local running, median_us = size_of(bucket_key(name) .. ":leases"), taken[math.ceil(#taken / 2)]
  if median_us > mean_us then
    local past = mean_us > 0 and PAST_ENDS or 0
    mean_us = math.floor((past * mean_us + running * median_us) / (past + running))
  end
  for _, taken_us in ipairs(taken) do
    if taken_us > mean_us then longer[#longer + 1] = taken_us end
  end
  return { mean_us = mean_us, longer = longer, each = running / #taken, longest_us = taken[#taken] }
end

-- After how long so many jobs have found a place, of `places` that are not free. One whose job runs longer
-- than others is reckoned to be taken as long again, and is waited for only if that is sooner.
local function wait_for_places(runs, jobs, places)
  local moving, work = math.max(0, places - runs.each * #runs.longer), jobs * runs.mean_us
  local wait_us = moving > 0 and work / moving or math.huge
  for _, taken_us in ipairs(runs.longer) do
    moving, work = moving + runs.each, work + runs.each * (taken_us - runs.mean_us)
    wait_us = math.min(wait_us, work / moving)
  end
  return wait_us
end
