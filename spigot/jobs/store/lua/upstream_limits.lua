-- requires: times, bucket, budgets
--[[
Functions that take what a downstream says of its own limits as a second witness beside a budget: a
level of the downstream's size, which drains at its rate and is forgotten at the reset that it stated.

B:up_limit     what the downstream grants, in millionths
B:up_level     what was spent of it as of B:up_at_us, in units
B:up_until_us  when all of this is forgotten
]]
local PERIOD_US = { s = SECOND_US, m = 60 * SECOND_US, h = 3600 * SECOND_US, d = 86400 * SECOND_US }

local function is_witnessed(budget, us) return budget.up_limit and us < (budget.up_until_us or 0) end

local function upstream_drain(budget)
  local period_us = PERIOD_US[string.sub(budget.limit, -1)] or PERIOD_US.m
  return math.max(units_of(budget.up_limit, budget.unit) / period_us, 1e-6)
end

local function upstream_level(budget, us)
  local elapsed_us = math.max(0, us - (budget.up_at_us or us))
  return math.max(0, math.ceil((budget.up_level or 0) - elapsed_us * upstream_drain(budget)))
end

-- When a job may start by what the downstream said, `us` at the earliest.
local function upstream_ready_us(budget, need, us)
  if need == 0 or not is_witnessed(budget, us) then return us end
  local over = upstream_level(budget, us) + units_of(need, budget.unit) - units_of(budget.up_limit, budget.unit)
  if over <= 0 then return us end
  if need > budget.up_limit then return budget.up_until_us end
  return math.min(budget.up_until_us, us + math.ceil(over / upstream_drain(budget)))
end

-- Fields and values of what it has spent once a job starts in a slot.
local function upstream_spent(budget, need, slot_us)
  if not is_witnessed(budget, slot_us) then return {} end
  local level = math.min(MOST_UNITS, upstream_level(budget, slot_us) + units_of(need, budget.unit))
  return { up_level = level, up_at_us = math.max(slot_us, budget.up_at_us or 0) }
end

-- Notes the limits of a text such as "tokens:90000000000:80000000000:1200000": name, limit and what
-- remains in millionths, us until the reset. What is known already and is tighter stays.
local function note_upstream(bucket_name, text, now_us)
  local fields = {}
  local budgets = with_state(bucket_name, budgets_in(try("HGET", bucket_key(bucket_name), "budgets") or ""), now_us)
  for name, limit, remaining, reset_us in string.gmatch(text, "([^:%s]+):(%d+):(%d+):(%d+)") do
    for _, budget in ipairs(budgets) do
      if name == budget.name or name == budget.name .. "_tokens" then
        local spent = units_of(math.max(0, number(limit) - number(remaining)), budget.unit)
        local known = is_witnessed(budget, now_us) and upstream_level(budget, now_us) or 0
        for field, value in pairs({ up_limit = number(limit), up_level = math.max(spent, known),
          up_at_us = now_us, up_until_us = now_us + number(reset_us) }) do
          fields[#fields + 1] = state_field(budget.name, field)
          fields[#fields + 1] = whole(value)
        end
      end
    end
  end
  if #fields > 0 then try("HSET", budgets_key(bucket_name), unpack(fields)) end
end
