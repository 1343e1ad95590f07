-- Lets an agent be present for a while, whatever it was before.
-- args: id, presence_ms
-- include: streaming/redis_clock.lua
redis.call('ZADD', PRESENCE, 'GT', redis_now_ms() + presence_ms, id)
return 1
