-- Lets another gateway play a session.
-- args: sid, gateway
local key = MCP_SESSION .. sid
if redis.call('HGET', key, 'host') ~= gateway then return 0 end
return redis.call('HDEL', key, 'host', 'until')
