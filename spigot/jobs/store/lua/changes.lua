-- requires: times, bucket
--[[
Functions that keep the last changes of a bucket, for people: who changed what, and when.
]]
local KEPT_CHANGES = 100

-- Of `changes`, by field, the value before and after. A list that cannot be written stops no change.
local function keep_change(bucket_name, at_us, by, changes)
  local list = bucket_key(bucket_name) .. ":changes" -- of JSON {at, by, changes}, newest first
  try("LPUSH", list, cjson.encode({ at = utc_text(at_us), by = by, changes = changes }))
  try("LTRIM", list, 0, KEPT_CHANGES - 1)
end
