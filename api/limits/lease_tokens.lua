-- Takes some tokens of a bucket in advance, at most so many.
-- Returns {how many, the milliseconds until there is one if there is none}.
-- args: key, burst, interval_us, most
-- include: streaming/redis_clock.lua, api/limits/token_bucket.lua
return {take_tokens(key, tonumber(burst), tonumber(interval_us), tonumber(most), redis_now_us())}
