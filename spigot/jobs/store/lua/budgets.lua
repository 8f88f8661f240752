-- requires: bucket
--[[
Functions that know the budgets of a bucket: what is spent of each, and what running jobs hold.

`budgets` of the bucket's hash has a line for each (spigot/jobs/budgets/budget.py). The hash
`…:budgets` has for each budget B:

B:level       what was spent and has not drained yet, in units, as of B:at_us. A token is `unit`
              units, and `drain` of them drain in a microsecond: whole numbers, so nothing is rounded
B:at_us       the slot of the last start, up to CLAIM_AHEAD_US ahead of now; or the last end
B:held        what running jobs have reserved, in millionths of a token; it does not drain
B:mean, B:used  moving means of what jobs reserve, and of what they said that they used
B:changed_us  when its numbers were changed last
B:up_…        what the downstream says of its own limit (upstream_limits.lua)

A job reserves its cost when it starts. If the downstream counts at the start (`at_start`), that is
spent then. If nobody knows when it counts (`unknown`), it is held until the attempt ends, and then
the attempt spends what it said that it used. Both keep level + held <= burst at each start, so that
no window of t seconds holds more than burst + rate * t of what was reserved.
]]
local MICRO = 1000000
local MOST_UNITS = 2 ^ 52 -- levels are exact up to here, and no more is remembered
local MEAN_OF = 8

local function has_budgets(name) return (try("HGET", bucket_key(name), "budgets") or "") ~= "" end

local function budgets_key(name) return bucket_key(name) .. ":budgets" end

-- Millionths as units, rounded up.
local function units_of(micro, unit)
  local whole = math.floor(micro / MICRO)
  return math.min(MOST_UNITS, whole * unit + math.ceil((micro - whole * MICRO) * unit / MICRO))
end

-- Amounts by budget, of a text such as "tokens=1500000000".
local function amounts_in(text)
  local amounts = {}
  for name, micro in string.gmatch(text or "", "(%l[%w_]*)=(%d+)") do amounts[name] = number(micro) end
  return amounts
end

-- The lines of the field `budgets`.
local function budgets_in(text)
  local budgets = {}
  local line = "(%l[%w_]*) (%S+) (%d+) (%d+) (%d+) (%S+) (%d+) (%S+)[^\n]*"
  for name, counted, unit, drain, burst, cost, default_cost, limit in string.gmatch(text or "", line) do
    local budget = { name = name, counted = counted, unit = number(unit) or 0, drain = number(drain) or 0,
      burst = number(burst) or 0, cost = number(cost), default_cost = number(default_cost) or 0, limit = limit }
    if budget.unit >= 1 and budget.drain >= 1 then budgets[#budgets + 1] = budget end
  end
  return budgets
end

local function state_field(name, field) return name .. ":" .. field end

local STATE = { "level", "held", "at_us", "mean", "used", "changed_us", "up_limit", "up_level", "up_at_us",
  "up_until_us" }

-- Adds to each budget what is known of it. A level from later than the next slot may be is from
-- before the server's clock was set back.
local function with_state(bucket_name, budgets, now_us)
  local fields = {}
  for _, budget in ipairs(budgets) do
    for _, field in ipairs(STATE) do fields[#fields + 1] = state_field(budget.name, field) end
  end
  local values = #fields > 0 and lenient("HMGET", budgets_key(bucket_name), unpack(fields)) or {}
  for i, budget in ipairs(budgets) do
    for j, field in ipairs(STATE) do budget[field] = number(values[(i - 1) * #STATE + j]) end
    budget.level, budget.held = math.max(0, budget.level or 0), math.max(0, budget.held or 0)
    budget.at_us = math.min(budget.at_us or now_us, latest_slot_us(now_us))
    budget.changed_us = budget.changed_us or 0
  end
  return budgets
end

local function budgets_of(bucket, now_us)
  return with_state(bucket.name, budgets_in(bucket.budgets), now_us)
end

local function drained_us(units, drain)
  local us = math.floor(units / drain)
  while us * drain < units do us = us + 1 end
  return us
end

-- What is left of the level at a time; of one before `at_us`, the level of then.
local function drain_to(budget, us)
  if us <= budget.at_us then return end
  local elapsed_us = math.min(us - budget.at_us, drained_us(budget.level, budget.drain))
  budget.level, budget.at_us = math.max(0, budget.level - elapsed_us * budget.drain), us
end

-- When a job may start by one budget, `us` at the earliest; nil: once an attempt has ended. A job
-- that costs more than the burst, which was lowered since, starts when nothing is spent or held.
local function ready_us(budget, need, us)
  if need == 0 then return us end
  local held, burst = units_of(budget.held, budget.unit), units_of(budget.burst, budget.unit)
  local cost = units_of(need, budget.unit)
  local room = cost > burst and 0 or burst - cost
  if held > room then return nil end
  drain_to(budget, us)
  local over = budget.level + held - room
  return over > 0 and budget.at_us + drained_us(over, budget.drain) or us
end

local function need_of(budget, cost) return cost[budget.name] or budget.cost or budget.default_cost end

local function moving_mean(mean, value)
  return mean and math.floor(mean + (value - mean) / MEAN_OF + 0.5) or value
end

local function whole(n) return string.format("%.0f", n) end

-- {budget, cost, the largest that fits} if a job costs more than a budget ever holds.
local function excess_of(bucket, cost_text)
  local cost = amounts_in(cost_text)
  for _, budget in ipairs(budgets_in(bucket.budgets)) do
    local need = need_of(budget, cost)
    if need > budget.burst then return { budget.name, whole(need), whole(budget.burst) } end
  end
end
