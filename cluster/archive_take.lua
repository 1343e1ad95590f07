-- Acknowledges entries and takes them out of the stream.  Returns how many were ever taken out.
-- keys: stream, stats
-- args: group, *ids
redis.call('XACK', stream, group, unpack(ARGV, ids))
return redis.call('HINCRBY', stats, 'taken', redis.call('XDEL', stream, unpack(ARGV, ids)))
