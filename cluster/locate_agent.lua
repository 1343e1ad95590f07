-- Where an agent is, and who owns that place.  Returns {chunk, here, shard, record}; '' for what there is not.
-- keys: agent
local a = redis.call('HMGET', agent, 'chunk', 'here', 'rec')
local owner = false
if a[1] then owner = redis.call('HGET', CHUNK .. a[1], 'shard') end
return {a[1] or '', a[2] or '0', owner or '', a[3] or ''}
