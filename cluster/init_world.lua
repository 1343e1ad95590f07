-- Makes the world and chunk-0 if they are not there yet; what is there stays.  Returns {seed, shard_count, epoch_ms}.
-- args: seed, shard_count, owner
-- include: streaming/redis_clock.lua
redis.call('HSETNX', WORLD, 'seed', seed)
redis.call('HSETNX', WORLD, 'shard_count', shard_count)
redis.call('HSETNX', WORLD, 'next_chunk', 1)
redis.call('HSETNX', WORLD, 'epoch_ms', string.format('%d', redis_now_ms()))
if redis.call('SADD', CHUNKS, 'chunk-0') == 1 then
  redis.call('HSET', CHUNK .. 'chunk-0', 'number', 0, 'entry', '', 'pinned', 1, 'shard', owner)
  redis.call('HSETNX', POPULATION, 'chunk-0', 0)
end
return redis.call('HMGET', WORLD, 'seed', 'shard_count', 'epoch_ms')
