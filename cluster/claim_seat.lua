-- Binds an agent to a chunk before it is seated there: of two that try, one wins.  Not one that stands in the world.
-- Returns {'ok', the chunk's shard}, {'gone'} (the chunk), {'moved', chunk it is bound to} or {'here'}.
-- keys: agent
-- args: before, chunk, id, presence_ms
-- include: streaming/redis_clock.lua
local shard = redis.call('HGET', CHUNK .. chunk, 'shard')
if not shard then return {'gone'} end
local found = redis.call('HMGET', agent, 'chunk', 'here')
local present = found[1] or ''
if present ~= before then return {'moved', present} end
if found[2] == '1' and redis.call('EXISTS', CHUNK .. present) == 1 then return {'here'} end
redis.call('HSET', agent, 'chunk', chunk)
redis.call('ZADD', PRESENCE, 'GT', redis_now_ms() + presence_ms, id)
return {'ok', shard}
