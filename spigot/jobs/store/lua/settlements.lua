-- requires: times, bucket, budgets, upstream_limits
--[[
Functions that settle what an attempt reserved of its bucket's budgets, when it ends.
]]
-- What an attempt whose function was called adds to the level, or gives back to it if it was not:
-- then what has not drained since; more would let too much pass.
local function units_to_add(budget, how, micro, used, ending, slot_us)
  if how == "held" then return ending.started and units_of(used or micro, budget.unit) or 0 end
  if ending.started then return units_of(math.max(0, (used or 0) - micro), budget.unit) end
  if slot_us < budget.changed_us then return 0 end
  return math.min(0, math.max(0, budget.at_us - slot_us) * budget.drain - units_of(micro, budget.unit))
end

local function reserved_in(lease)
  local reserved = {}
  for name, how, micro in string.gmatch(lease.budgets, "(%l[%w_]*):(%l+):(%d+)") do
    reserved[name] = { how = how, micro = number(micro) or 0 }
  end
  return reserved
end

local function settle_one(budget, reserved, used, ending, slot_us)
  local before = budget.level + units_of(budget.held, budget.unit)
  local is_held = reserved.how == "held"
  drain_to(budget, ending.now_us)
  local drained = before - budget.level - units_of(budget.held, budget.unit)
  local added = units_to_add(budget, reserved.how, reserved.micro, used, ending, slot_us)
  if is_held then budget.held = math.max(0, budget.held - reserved.micro) end
  budget.level = math.max(0, math.min(MOST_UNITS, budget.level + added))
  if used then budget.used = moving_mean(budget.used, used) end
  return budget.level + units_of(budget.held, budget.unit) < before - drained
end

-- An attempt has left its lease: what it held is free, and what it used is spent. `ending` has
-- now_us, started (whether its function was called, as far as is known) and reported (a text of
-- amounts that it said that it used; one that said nothing used what it reserved), and noted (what
-- its downstream said of its own limits). Wakes a worker if there is more room than before.
local function settle_budgets(lease, ending)
  local reserved, used = reserved_in(lease), amounts_in(ending.reported)
  local budgets = budgets_in(try("HGET", bucket_key(lease.bucket), "budgets") or "")
  local fields, is_more_room, known = {}, false, {}
  for _, budget in ipairs(with_state(lease.bucket, budgets, ending.now_us)) do
    local own = reserved[budget.name] or { how = "spent", micro = 0 }
    known[budget.name] = true
    is_more_room = settle_one(budget, own, used[budget.name], ending, lease.slot_us) or is_more_room
    for _, field in ipairs({ "level", "held", "at_us", "used" }) do
      if budget[field] then
        fields[#fields + 1] = state_field(budget.name, field)
        fields[#fields + 1] = whole(budget[field])
      end
    end
  end
  local key = budgets_key(lease.bucket)
  if #fields > 0 then try("HSET", key, unpack(fields)) end
  for name, own in pairs(reserved) do -- of a budget that was taken out of the file
    if not known[name] and own.how == "held" then try("HINCRBY", key, state_field(name, "held"), whole(-own.micro)) end
  end
  if (ending.noted or "") ~= "" then note_upstream(lease.bucket, ending.noted, ending.now_us) end
  if is_more_room and waiting_in(queue_keys(lease.bucket)) > 0 then wake(lease.bucket) end
end

-- A running attempt said that it used more than it reserved: its reservation grows by that now. The
-- budgets come first: should the script fail half-way, too much is charged rather than too little.
local function charge_overuse(lease, used, now_us)
  local reserved, fields = reserved_in(lease), {}
  local budgets = budgets_in(try("HGET", bucket_key(lease.bucket), "budgets") or "")
  for _, budget in ipairs(with_state(lease.bucket, budgets, now_us)) do
    local own = reserved[budget.name]
    local over = own and (used[budget.name] or 0) - own.micro or 0
    if over > 0 then
      drain_to(budget, now_us)
      if own.how == "held" then
        budget.held = budget.held + over
      else
        budget.level = math.min(MOST_UNITS, budget.level + units_of(over, budget.unit))
      end
      own.micro = used[budget.name]
      for _, field in ipairs({ "level", "held", "at_us" }) do
        fields[#fields + 1] = state_field(budget.name, field)
        fields[#fields + 1] = whole(budget[field])
      end
    end
  end
  if #fields == 0 then return end
  local text = string.gsub(lease.budgets, "(%l[%w_]*):(%l+):%d+", function(name, how)
    return name .. ":" .. how .. ":" .. whole(reserved[name].micro)
  end)
  redis.call("HSET", budgets_key(lease.bucket), unpack(fields))
  redis.call("HSET", lease_key(lease.token), "budgets", text)
end

local TRUE_UP_US = 60 * SECOND_US
local MOST_LEASES = 2000 -- that one script looks at

-- Makes `held` what the living leases hold, should a script have failed half-way or a lease been lost:
-- what nobody holds any more would stop the bucket for ever.
local function true_up_held(bucket_name, now_us)
  local key = budgets_key(bucket_name)
  local known_us = number(try("HGET", key, "trued_up_us"))
  if known_us and known_us <= now_us and now_us - known_us < TRUE_UP_US then return end
  local tokens = lenient("ZRANGE", bucket_key(bucket_name) .. ":leases", 0, MOST_LEASES) or {}
  if #tokens > MOST_LEASES then return end
  local held, fields = {}, { "trued_up_us", whole(now_us) }
  for _, token in ipairs(tokens) do
    local text = lenient("HGET", lease_key(token), "budgets")
    for name, own in pairs(reserved_in({ budgets = text or "" })) do
      if own.how == "held" then held[name] = (held[name] or 0) + own.micro end
    end
  end
  for _, budget in ipairs(budgets_in(try("HGET", bucket_key(bucket_name), "budgets") or "")) do
    fields[#fields + 1] = state_field(budget.name, "held")
    fields[#fields + 1] = whole(held[budget.name] or 0)
  end
  try("HSET", key, unpack(fields))
end
