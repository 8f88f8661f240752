--[[
Functions that reckon with time. All times are whole Unix microseconds of the server's clock (`_us`),
or milliseconds where sorted sets are scored by them (`_ms`).
]]
local SECOND_US = 1000000

local function clock_us(now)
  if now and now ~= "" then return tonumber(now) end
  local time = redis.call("TIME")
  return time[1] * SECOND_US + time[2]
end

local function ms(us) return math.floor(us / 1000) end

local WRITTEN = {} -- the last time that was written as text, which is often wanted again

-- "2026-01-31T12:00:00.000000Z", as RQ writes times. Source: H. Hinnant,
-- "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
local function utc_text(us)
  if WRITTEN.us == us then return WRITTEN.text end
  local seconds = math.floor(us / SECOND_US)
  local days = math.floor(seconds / 86400)
  local era = math.floor((days + 719468) / 146097)
  local day_of_era = days + 719468 - era * 146097
  local year_of_era = math.floor((day_of_era - math.floor(day_of_era / 1460)
    + math.floor(day_of_era / 36524) - math.floor(day_of_era / 146096)) / 365)
  local day_of_year = day_of_era
    - (365 * year_of_era + math.floor(year_of_era / 4) - math.floor(year_of_era / 100))
  local shifted_month = math.floor((5 * day_of_year + 2) / 153)
  local day = day_of_year - math.floor((153 * shifted_month + 2) / 5) + 1
  local month = shifted_month < 10 and shifted_month + 3 or shifted_month - 9
  local year = year_of_era + era * 400 + (month <= 2 and 1 or 0)
  local second_of_day = seconds - days * 86400
  local text = string.format("%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", year, month, day,
    math.floor(second_of_day / 3600), math.floor(second_of_day / 60) % 60, second_of_day % 60,
    us - seconds * SECOND_US)
  WRITTEN.us, WRITTEN.text = us, text
  return text
end

-- The same for a time on the day of another one, of whose text it takes the date: most of a job's
-- times lie on one day, and this takes half the time. "%d" cuts fractions off.
local function utc_text_beside(us, other_us, other_text)
  local of_day_us = us % 86400000000
  if us - of_day_us ~= other_us - other_us % 86400000000 then return utc_text(us) end
  return string.format("%.11s%02d:%02d:%02d.%06dZ", other_text, of_day_us / 3600000000, of_day_us / 60000000 % 60,
    of_day_us / 1000000 % 60, us % 1000000)
end

-- The inverse, for jobs that plain RQ enqueued; nil for what is no time.
local function utc_us(text)
  local year, month, day, hour, minute, second, fraction =
    string.match(text or "", "^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)%.?(%d*)Z$")
  if not year then return nil end
  month, day = tonumber(month), tonumber(day)
  year = tonumber(year) - (month <= 2 and 1 or 0)
  local era = math.floor(year / 400)
  local year_of_era = year - era * 400
  local day_of_year = math.floor((153 * (month > 2 and month - 3 or month + 9) + 2) / 5) + day - 1
  local days = era * 146097 + year_of_era * 365 + math.floor(year_of_era / 4)
    - math.floor(year_of_era / 100) + day_of_year - 719468
  local micros = tonumber(string.sub(fraction .. "000000", 1, 6))
  return ((days * 24 + tonumber(hour)) * 60 + tonumber(minute)) * 60 * SECOND_US
    + tonumber(second) * SECOND_US + micros
end

local function seconds(us) return us and string.format("%.6f", us / SECOND_US) or "null" end
