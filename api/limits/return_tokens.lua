-- Puts back what was leased of a bucket and not used.
-- args: key, burst, interval_us, tokens
-- include: streaming/redis_clock.lua, api/limits/token_bucket.lua
give_tokens(key, tonumber(burst), tonumber(interval_us), tonumber(tokens), redis_now_us())
return 1
