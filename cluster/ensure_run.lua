-- Notes the run that the world is, unless it is one already.  Returns the hash of the world; empty: there is no world.
-- keys: world
-- args: run
if redis.call('HEXISTS', world, 'seed') == 0 then return {} end
redis.call('HSETNX', world, RUN, run)
return redis.call('HGETALL', world)
