-- Defines count_strike(id, most, memory_ms, mute_ms): counts a violation, which is forgotten after memory_ms.
-- Gives how many more mute the agent; 0: this one has.
-- include: streaming/redis_clock.lua, api/limits/note_moderated.lua
local function count_strike(id, most, memory_ms, mute_ms)
  local key, now = STRIKES .. id, redis_now_ms()
  note_moderated(id)
  redis.call('LPUSH', key, string.format('%d', now + memory_ms))
  redis.call('LTRIM', key, 0, most - 1)
  redis.call('PEXPIRE', key, memory_ms)
  local left = most
  for _, forgotten_at in ipairs(redis.call('LRANGE', key, 0, -1)) do
    if tonumber(forgotten_at) > now then left = left - 1 end
  end
  if left > 0 then return left end
  redis.call('DEL', key)
  redis.call('SET', MUTE .. id, 'strikes', 'PX', mute_ms)
  return 0
end
