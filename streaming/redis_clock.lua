-- Defines redis_now_us() and redis_now_ms(): Unix time by the server's clock.
local function redis_now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
local function redis_now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
