-- Forgets which agent a session plays, if it is this one and the gateway still plays it.  Returns 1 if it was.
-- args: sid, gateway, agent
local key = MCP_SESSION .. sid
local found = redis.call('HMGET', key, 'host', 'agent')
if found[1] ~= gateway or found[2] ~= agent then return 0 end
redis.call('HSET', key, 'agent', '')
return 1
