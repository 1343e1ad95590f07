-- Token buckets (api.limits.rate_limit).  Defines take_token(key, burst, interval_us, now), which gives 0 or the
-- milliseconds until there will be one; and its parts: read_bucket gives when the bucket will be full, write_bucket
-- notes that, token_wait gives what take_token does and when the bucket would be full, and takes nothing.  For several:
-- take_tokens(key, burst, interval_us, most, now) gives how many it took and, if none, the milliseconds until there
-- will be one; give_tokens(key, burst, interval_us, tokens, now) puts some back.
local function write_bucket(key, full_at, now)
  if full_at <= now then redis.call('DEL', key) return end
  redis.call('SET', key, full_at, 'PX', math.ceil((full_at - now) / 1000))
end
local function read_bucket(key, burst, interval_us, now)
  local full_at, empty = tonumber(redis.call('GET', key) or now), now + burst * interval_us
  -- Later than an empty bucket's: the clock was put back, or the limit was narrowed.  It counts as empty from now on.
  if full_at > empty then write_bucket(key, empty, now) return empty end
  return math.max(full_at, now)
end
local function token_wait(key, burst, interval_us, now)
  local full_at = read_bucket(key, burst, interval_us, now) + interval_us
  return math.max(0, math.ceil((full_at - now - burst * interval_us) / 1000)), full_at
end
local function take_token(key, burst, interval_us, now)
  local wait, full_at = token_wait(key, burst, interval_us, now)
  if wait == 0 then write_bucket(key, full_at, now) end
  return wait
end
local function take_tokens(key, burst, interval_us, most, now)
  local wait_ms, full_at = token_wait(key, burst, interval_us, now)
  if wait_ms > 0 then return 0, wait_ms end
  local more = math.min(most - 1, math.floor((now + burst * interval_us - full_at) / interval_us))
  write_bucket(key, full_at + more * interval_us, now)
  return more + 1, 0
end
local function give_tokens(key, burst, interval_us, tokens, now)
  write_bucket(key, read_bucket(key, burst, interval_us, now) - tokens * interval_us, now)
end
