--[[
Functions that end a script which handles many jobs before others wait for it.
]]
local SLICE_S = 0.004 -- of the server's processor time
local begun_s = os.clock()

local function slice_is_over(slice_s) return os.clock() - begun_s > (slice_s or SLICE_S) end
