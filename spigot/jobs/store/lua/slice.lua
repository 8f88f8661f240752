--[[
Functions that end a script which handles many jobs before others wait for it.
]]
local SLICE_S = 0.004 -- of the server's processor time

-- Redis has os.clock since 7.2, and Valkey; the TIME of those before it goes on within a script.
local function clock_s()
  local os = rawget(_G, "os")
  if os then return os.clock() end
  local time = redis.call("TIME")
  return time[1] + time[2] / 1e6
end

local begun_s = clock_s()

local function slice_is_over(slice_s) return clock_s() - begun_s > (slice_s or SLICE_S) end
