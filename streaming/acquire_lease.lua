-- Takes a shard's lease from whoever holds it.  Returns the new epoch, and number and tick of the last commit.
-- keys: shard
-- args: holder
local epoch = redis.call('HINCRBY', shard, 'epoch', 1)
redis.call('HSET', shard, 'holder', holder)
local rest = redis.call('HMGET', shard, 'seq', 'tick')
return {epoch, tonumber(rest[1] or '0'), tonumber(rest[2] or '-1')}
