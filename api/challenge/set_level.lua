-- Moves an agent's difficulty, unless another gateway did since changed_ms.  Returns {the level now, when it was
-- moved}.
-- args: id, level, changed_ms, now_ms, start
local key = DIFFICULTY .. id
local found = redis.call('HMGET', key, 'level', 'changed')
if (found[2] or '0') ~= changed_ms then return {tonumber(found[1] or start), tonumber(found[2] or '0')} end
redis.call('HSET', key, 'level', level, 'changed', now_ms)
redis.call('PEXPIRE', key, STATE_TTL_MS)
return {tonumber(level), tonumber(now_ms)}
