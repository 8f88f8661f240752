-- requires: times, bucket, attempts, lease_times, budgets, upstream_limits
--[[
Functions that reserve what a job costs of its bucket's budgets, when it starts.
]]
-- What a job is to be charged: {budgets, needs by budget, ready_us, narrow}. `ready_us` is when it
-- may start, `us` at the earliest, or nil; `narrow` is the budget that it waits for, if it does.
local function charge_of(bucket, job, us, now_us)
  local cost = amounts_in(lenient("HGET", RQ_JOB .. job.id, "spigot_cost"))
  local charge = { budgets = budgets_of(bucket, now_us), needs = {}, ready_us = us }
  for _, budget in ipairs(charge.budgets) do
    local need = need_of(budget, cost)
    charge.needs[budget.name] = need
    local ready = ready_us(budget, need, us)
    if ready then ready = upstream_ready_us(budget, need, ready) end
    if not ready then
      charge.ready_us, charge.narrow = nil, budget.name
      return charge
    elseif ready > charge.ready_us then
      charge.ready_us, charge.narrow = ready, budget.name
    end
  end
  return charge
end

-- What the lease has of it: "tokens:spent:1500000000 output:held:800000000".
local function charge_text(charge)
  local parts = {}
  for _, budget in ipairs(charge.budgets) do
    local how = budget.counted == "at_start" and "spent" or "held"
    parts[#parts + 1] = string.format("%s:%s:%.0f", budget.name, how, charge.needs[budget.name])
  end
  return table.concat(parts, " ")
end

-- Adds to the answer of a claim what its worker is to know, to tell at once what changes it: what
-- is reserved, the bucket's budgets, and what the downstream is known to have left of its own limits
-- after this start: "tokens:500000000:420000000" (limit and rest, in millionths).
local function charge_told(answer, bucket, charge, slot_us)
  local left = {}
  for _, budget in ipairs(charge.budgets) do
    if is_witnessed(budget, slot_us) then
      local spent = upstream_level(budget, slot_us) / budget.unit * MICRO + charge.needs[budget.name]
      left[#left + 1] = string.format("%s:%.0f:%.0f", budget.name, budget.up_limit, math.max(0, budget.up_limit - spent))
    end
  end
  for _, value in ipairs({ "reserved", charge_text(charge), "budgets", bucket.budgets, "upstream_left", table.concat(left, " ") }) do
    answer[#answer + 1] = value
  end
end

-- Reserves it, for a start in this slot. The lease has its text already.
local function reserve(bucket, charge, slot_us)
  local fields = {}
  local function set(budget, field, value)
    fields[#fields + 1] = state_field(budget.name, field)
    fields[#fields + 1] = whole(value)
  end
  for _, budget in ipairs(charge.budgets) do
    local need = charge.needs[budget.name]
    drain_to(budget, slot_us)
    if budget.counted == "at_start" then
      set(budget, "level", math.min(MOST_UNITS, budget.level + units_of(need, budget.unit)))
    else
      set(budget, "level", budget.level)
      set(budget, "held", budget.held + need)
    end
    set(budget, "at_us", budget.at_us)
    set(budget, "mean", moving_mean(budget.mean, need))
    for field, value in pairs(upstream_spent(budget, need, slot_us)) do set(budget, field, value) end
  end
  if #fields > 0 then lenient("HSET", budgets_key(bucket.name), unpack(fields)) end
end

-- The answer to a claim that was answered before: `lease` is of its attempt. It stands from now on, as
-- the worker reckons that does not know of the answer before.
local function told_again(lease, now_us, lease_ms)
  local hash, slot_us = redis.call("HGETALL", RQ_JOB .. lease.job), lease.slot_us
  renew(bucket_key(lease.bucket) .. ":leases", lease.token, ms(math.max(now_us, slot_us)) + lease_ms)
  if lease.budgets then
    local budgets = try("HGET", bucket_key(lease.bucket), "budgets") or ""
    for _, value in ipairs({ "reserved", lease.budgets, "budgets", budgets }) do hash[#hash + 1] = value end
  end
  return { "job", lease.job, lease.queue, slot_us, math.max(0, slot_us - now_us), lease.attempt, hash }
end

-- Adds the answers to those of the next tokens under which jobs were claimed before.
local function tell_again(answers, tokens, now_us, lease_ms)
  repeat
    local token = tokens[#answers + 1]
    local lease = is_running(token) and read_lease(token)
    if lease then answers[#answers + 1] = told_again(lease, now_us, lease_ms) end
  until not lease
end
