-- requires: budgets
--[[
Functions that estimate when a job may start by the budgets of its bucket, from the mean of what
recent jobs cost: exact where all cost the same and are counted when they start.
]]

-- Of a budget that is counted at an unknown moment: as many jobs run at once as it holds, and what they
-- hold they spend, or a part of it, when they end. Nil if nobody knows how long jobs run.
local function start_by_ends(budget, mean_run_us, position, mean, now_us)
  local places = math.max(1, math.floor(budget.burst / mean))
  local before = position - math.max(0, places - budget.held / mean)
  if before <= 0 then return now_us end
  if mean_run_us == 0 then return nil end
  return now_us + math.ceil(before * mean_run_us / places)
end

local function start_by(budget, mean_run_us, position, cost, now_us)
  local own = cost and need_of(budget, cost) or budget.mean or 0
  local mean = budget.mean or own
  if mean == 0 and own == 0 then return now_us end
  drain_to(budget, now_us)
  local share = budget.counted == "at_start" and 1 or (budget.used or mean) / math.max(1, mean)
  local spent = (budget.held + (position - 1) * mean) * share + own
  local over = budget.level + (spent - math.max(own, budget.burst)) / MICRO * budget.unit
  local start_us = budget.at_us + math.max(0, math.ceil(over / budget.drain))
  if budget.counted == "at_start" or mean == 0 then return start_us end
  local by_ends_us = start_by_ends(budget, mean_run_us, position, mean, now_us)
  return by_ends_us and math.max(start_us, by_ends_us)
end

-- When the job at `position` may start; nil if nobody can tell. `cost_text` is its own cost, nil for
-- the mean of the others.
local function start_by_budgets(bucket, now_us, position, cost_text)
  local latest_us, cost = now_us, cost_text and amounts_in(cost_text)
  for _, budget in ipairs(budgets_of(bucket, now_us)) do
    local start_us = start_by(budget, bucket.mean_run_us, position, cost, now_us)
    if not start_us then return nil end
    latest_us = math.max(latest_us, start_us)
  end
  return latest_us
end
