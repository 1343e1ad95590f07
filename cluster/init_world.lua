-- Makes the world, its rules and chunk-0 if they are not there yet; what is there stays.
-- Returns {1 if there was no world, number of rules it did not have, its hash}.
-- args: seed, shard_count, owner, *rules
-- rules: name, value
-- include: streaming/redis_clock.lua
local new, added = redis.call('HSETNX', WORLD, 'seed', seed), 0
for i = rules, #ARGV, 2 do
  local name, value = unpack(ARGV, i, i + 1)
  added = added + redis.call('HSETNX', WORLD, name, value)
end
redis.call('HSETNX', WORLD, 'shard_count', shard_count)
redis.call('HSETNX', WORLD, 'next_chunk', 1)
redis.call('HSETNX', WORLD, 'epoch_ms', string.format('%d', redis_now_ms()))
if redis.call('SADD', CHUNKS, 'chunk-0') == 1 then
  redis.call('HSET', CHUNK .. 'chunk-0', 'number', 0, 'entry', '', 'pinned', 1, 'shard', owner)
  redis.call('HSETNX', POPULATION, 'chunk-0', 0)
end
return {new, added, redis.call('HGETALL', WORLD)}
