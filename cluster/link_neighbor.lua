-- Makes a new chunk and both links in one step.  The caller has drawn the number, because the owner follows from the
-- name.  Returns {'made', name}, {'there', name} (another was quicker), {'gone'} (the source) or {'lock'} (not ours).
-- keys: lock
-- args: source, direction, opposite, new, number, shard, count, token
local source_key = CHUNK .. source
if redis.call('EXISTS', source_key) == 0 then return {'gone'} end
local there = redis.call('HGET', source_key, direction)
if there then return {'there', there} end
if redis.call('GET', lock) ~= token then return {'lock'} end
if redis.call('HGET', WORLD, 'shard_count') ~= count then return {'lock'} end
redis.call('HSET', source_key, direction, new)
redis.call('HSET', CHUNK .. new, 'number', number, 'entry', opposite, 'pinned', 0, 'shard', shard, opposite, source)
redis.call('SADD', CHUNKS, new)
redis.call('SADD', ADOPT .. shard, new)
redis.call('HSETNX', POPULATION, new, 0)
return {'made', new}
