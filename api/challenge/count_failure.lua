-- Defines count_failure(id, now_ms, failures_max, window_ms, cooldown_ms, memory_ms): counts one auth failure.
-- Returns the number of cooldowns of late if this one has begun another, otherwise 0.
local function count_failure(id, now_ms, failures_max, window_ms, cooldown_ms, memory_ms)
  local key = FAILURES .. id
  redis.call('LPUSH', key, now_ms)
  redis.call('LTRIM', key, 0, failures_max)
  redis.call('PEXPIRE', key, window_ms)
  local oldest = redis.call('LINDEX', key, failures_max)
  if not oldest or tonumber(now_ms) - tonumber(oldest) > tonumber(window_ms) then return 0 end
  redis.call('DEL', key)
  redis.call('SET', COOLDOWN .. id, 1, 'PX', cooldown_ms)
  redis.call('SET', COOLDOWNS .. id, 0, 'PX', memory_ms, 'NX')
  return redis.call('INCR', COOLDOWNS .. id)
end
