-- Notes which agent a session plays.  Returns 0 when there is no such session.
-- args: sid, agent
local key = MCP_SESSION .. sid
if redis.call('EXISTS', key) == 0 then return 0 end
redis.call('HSET', key, 'agent', agent)
return 1
