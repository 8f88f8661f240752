-- requires: survey
--[[
Look through a part of a queue.

ARGV[1] queue  name

Returns 1 if there is more of it to look through, else 0
]]
return survey(ARGV[1]) and 1 or 0
