-- Gives a lock back if it is still ours.
-- keys: lock
-- args: token
if redis.call('GET', lock) == token then return redis.call('DEL', lock) end
return 0
