-- Gives a chunk to another shard, with its state unless that is empty, if it is still ours and so is the lease.
-- Returns 'given', 'not_owner' or 'fenced'.
-- keys: chunk
-- args: shard, epoch, to_shard, state, id
if redis.call('HGET', chunk, 'shard') ~= shard then return 'not_owner' end
if redis.call('HGET', SHARD .. shard, 'epoch') ~= epoch then return 'fenced' end
redis.call('HSET', chunk, 'shard', to_shard)
if state ~= '' then redis.call('HSET', chunk, 'state', state) end
redis.call('SREM', ADOPT .. shard, id)
redis.call('SADD', ADOPT .. to_shard, id)
return 'given'
