-- Makes a channel's socket the agent's, and tells the one it had.  Returns how far the agent has got in its stream.
-- args: id, channel, presence_ms, seat_s, position_s
-- include: streaming/redis_clock.lua
redis.call('SET', CONNECTION .. id, channel, 'EX', seat_s)
redis.call('ZADD', PRESENCE, redis_now_ms() + presence_ms, id)
local at = redis.call('GET', AGENT_POSITION .. id)
if not at then at = redis.call('HGET', AGENT .. id, 'seq') or '0' end
redis.call('SET', AGENT_POSITION .. id, at, 'EX', position_s)
redis.call('PUBLISH', CHANNELS .. AGENT_CONTROL .. id, 'takeover ' .. channel)
return at
