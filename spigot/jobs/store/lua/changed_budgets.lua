-- requires: bucket, budgets
--[[
Functions that change the numbers of a bucket's budgets.
]]
-- The numbers of budgets change: what was spent by the old ones stays spent.
local function change_budgets(bucket_name, before, after, now_us)
  local fields, new = {}, {}
  for _, budget in ipairs(budgets_in(after)) do new[budget.name] = budget end
  for _, budget in ipairs(with_state(bucket_name, budgets_in(before), now_us)) do
    local own = new[budget.name] or budget
    if own.unit ~= budget.unit or own.drain ~= budget.drain then
      drain_to(budget, now_us)
      local level = math.min(MOST_UNITS, math.ceil(budget.level / budget.unit * own.unit))
      for field, value in pairs({ level = level, at_us = budget.at_us, changed_us = now_us }) do
        fields[#fields + 1] = state_field(budget.name, field)
        fields[#fields + 1] = whole(value)
      end
    end
  end
  if #fields > 0 then lenient("HSET", budgets_key(bucket_name), unpack(fields)) end
end

-- The lines of `base`, of which those of `own` go in the place of the ones of the same budget.
local function overlaid(base, own)
  local altered, lines = {}, {}
  for name, line in string.gmatch(own, "((%l[%w_]*) [^\n]*)") do altered[line] = name end
  for line, name in string.gmatch(base, "((%l[%w_]*) [^\n]*)") do lines[#lines + 1] = altered[name] or line end
  return table.concat(lines, "\n")
end

-- All lines of both; of the same budget that of `own`.
local function joined(base, own)
  local lines, has = {}, {}
  for line, name in string.gmatch(own .. "\n" .. base, "((%l[%w_]*) [^\n]*)") do
    if not has[name] then lines[#lines + 1] = line end
    has[name] = true
  end
  return table.concat(lines, "\n")
end

-- Each budget's numbers as people read them: "90000/m burst 9000".
local function readable_budgets(text)
  local texts = {}
  local line = "(%l[%w_]*) %S+ %d+ %d+ (%d+) %S+ %d+ (%S+) (%S+)"
  for name, burst, limit, window in string.gmatch(text, line) do
    texts[name] = limit .. (window == "-" and "" or " window " .. window)
      .. string.format(" burst %.0f", (number(burst) or 0) / MICRO)
  end
  return texts
end
