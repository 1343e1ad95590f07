-- Takes a token of every bucket, or of none when one is empty.
-- Returns the number of the first empty one (0: none) and the milliseconds until all have one.
-- args: *buckets
-- buckets: key, burst, interval_us
-- include: streaming/redis_clock.lua, api/limits/token_bucket.lua
local now, empty, longest, full_at = redis_now_us(), 0, 0, {}
for i = buckets, #ARGV, 3 do
  local key, burst, interval_us = unpack(ARGV, i, i + 2)
  local wait
  wait, full_at[key] = token_wait(key, tonumber(burst), tonumber(interval_us), now)
  if wait > 0 and empty == 0 then empty = (i - buckets) / 3 + 1 end
  longest = math.max(longest, wait)
end
if empty == 0 then
  for key, at in pairs(full_at) do write_bucket(key, at, now) end
end
return {empty, longest}
