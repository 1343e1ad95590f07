-- Removes everything of a world.
-- include: streaming/each_key.lua
each_key(function(key) server.call('UNLINK', key) end)
return redis.status_reply('OK')
