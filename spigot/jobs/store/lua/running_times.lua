-- requires: bucket, workers
--[[
Functions that reckon how long jobs of a bucket run, for estimates that are read. They look at running
attempts, so that no script which starts, takes in or ends jobs calls them.
]]
local ATTEMPTS_LOOKED_AT = 32 -- running attempts; if there are more, these stand for all

-- How long some running attempts have taken, and the longest of these times.
local function times_taken(name, now_us)
  local taken, longest_us = {}, 0
  for _, token in ipairs(lenient("ZRANGE", bucket_key(name) .. ":leases", 0, ATTEMPTS_LOOKED_AT - 1) or {}) do
    local slot_us = number(lenient("HGET", lease_key(token), "slot_us"))
    if slot_us then
      taken[#taken + 1] = math.max(0, now_us - slot_us)
      longest_us = math.max(longest_us, taken[#taken])
    end
  end
  return taken, longest_us
end

-- How long a job holds a place, and the longest that a running one has held its own. `mean_us` is the
-- mean of past jobs, 0 if there are none. A place whose job has taken longer than that is reckoned with
-- what it has taken so far: what all places carry together says the rest.
local function run_to_expect(name, mean_us, max_running, now_us)
  local taken, longest_us = times_taken(name, now_us)
  if longest_us <= mean_us then return mean_us, longest_us end
  local _, places = living_workers(name, now_us)
  if max_running > 0 then places = math.min(places, max_running) end
  local running, per_us = size_of(bucket_key(name) .. ":leases"), 0
  for _, taken_us in ipairs(taken) do per_us = per_us + 1 / math.max(mean_us, taken_us) end
  per_us = per_us / #taken * running
  if places > running then
    if mean_us == 0 then return 0, longest_us end
    per_us = per_us + (places - running) / mean_us
  end
  return math.ceil(math.max(places, running) / per_us), longest_us
end
