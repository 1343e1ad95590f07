-- Puts a token back into every bucket; a bucket that was never touched stays full.
-- args: *buckets
-- buckets: key, burst, interval_us
-- include: streaming/redis_clock.lua, api/limits/token_bucket.lua
local now = redis_now_us()
for i = buckets, #ARGV, 3 do
  local key, burst, interval_us = unpack(ARGV, i, i + 2)
  give_tokens(key, tonumber(burst), tonumber(interval_us), 1, now)
end
return 1
