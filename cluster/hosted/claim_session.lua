-- Lets a gateway play a session unless another one does; ``lost`` is one that is known to be gone, or ''.  Returns who
-- plays it now; '' when there is no such session.
-- args: sid, gateway, lost, lease_ms
-- include: streaming/redis_clock.lua
local key, now = MCP_SESSION .. sid, redis_now_ms()
if redis.call('EXISTS', key) == 0 then return '' end
local found = redis.call('HMGET', key, 'host', 'until')
local host = found[1]
if host and host ~= gateway and host ~= lost and tonumber(found[2] or '0') > now then return host end
redis.call('HSET', key, 'host', gateway, 'until', now + lease_ms)
return gateway
