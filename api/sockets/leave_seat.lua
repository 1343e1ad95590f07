-- Gives up a channel's seat; the agent stays present for the grace time.  Returns whether the seat was this channel's.
-- args: id, channel, grace_ms, position_s, position
-- include: streaming/redis_clock.lua
if redis.call('GET', CONNECTION .. id) ~= channel then return 0 end
redis.call('DEL', CONNECTION .. id)
redis.call('ZADD', PRESENCE, redis_now_ms() + grace_ms, id)
redis.call('SET', AGENT_POSITION .. id, position, 'EX', position_s)
return 1
