-- Puts a token back into every bucket; a bucket that was never touched stays full.
-- args: *buckets
-- buckets: key, burst, interval_us
-- include: streaming/redis_clock.lua, api/limits/token_bucket.lua
local now = redis_now_us()
for i = buckets, #ARGV, 3 do
  local key, burst, interval_us = unpack(ARGV, i, i + 2)
  burst, interval_us = tonumber(burst), tonumber(interval_us)
  write_bucket(key, read_bucket(key, burst, interval_us, now) - interval_us, now)
end
return 1
