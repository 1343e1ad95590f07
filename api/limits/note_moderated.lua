-- Defines note_moderated(id): notes that an agent has just been given a strike or was muted, for operators' lists.
-- include: streaming/redis_clock.lua
local function note_moderated(id)
  redis.call('ZADD', MODERATED, redis_now_ms(), id)
  redis.call('ZREMRANGEBYRANK', MODERATED, 0, -MODERATED_MOST - 1)
  redis.call('PEXPIRE', MODERATED, MODERATED_MS)
end
