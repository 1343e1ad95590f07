-- Ends a mute and forgets all strikes.  Returns how many of the two there were.
-- args: id
redis.call('ZREM', MODERATED, id)
return redis.call('DEL', MUTE .. id, STRIKES .. id)
