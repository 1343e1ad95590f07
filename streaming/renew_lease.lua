-- Begins a new epoch of a lease: by its holder and not by its epoch, so that it may be sent again when its answer was
-- lost.  Returns {'ok', epoch, seq} or {'fenced', epoch}.
-- keys: shard
-- args: holder
local lease = redis.call('HMGET', shard, 'holder', 'epoch', 'seq')
if lease[1] ~= holder then return {'fenced', lease[2] or ''} end
return {'ok', redis.call('HINCRBY', shard, 'epoch', 1), tonumber(lease[3] or '0')}
