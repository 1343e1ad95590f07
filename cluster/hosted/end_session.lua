-- Ends an account's session.  Returns the gateway that plays it, or ''; nothing when there is no such session.
-- args: sid, account
local key = MCP_SESSION .. sid
local found = redis.call('HMGET', key, 'account', 'host')
if found[1] ~= account then return {} end
redis.call('DEL', key)
redis.call('ZREM', MCP_ACCOUNT .. account, sid)
redis.call('ZREM', MCP_SESSIONS, sid)
return {found[2] or ''}
