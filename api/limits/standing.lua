-- Where an agent stands.  Returns {strikes not yet forgotten, milliseconds until the oldest of them is, who muted it or
-- '', for how many milliseconds still}.
-- args: id
-- include: streaming/redis_clock.lua
local now, live, next_ms = redis_now_ms(), 0, 0
for _, forgotten_at in ipairs(redis.call('LRANGE', STRIKES .. id, 0, -1)) do
  local left = tonumber(forgotten_at) - now
  if left > 0 then live, next_ms = live + 1, left end
end
local muted_by = redis.call('GET', MUTE .. id)
return {live, next_ms, muted_by or '', muted_by and redis.call('PTTL', MUTE .. id) or 0}
