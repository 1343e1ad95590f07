-- Finds an account's session and prolongs it.  Returns {agent or '', the gateway that plays it or ''}; nothing when
-- there is none of that id and account.
-- args: sid, account, ttl_ms
-- include: streaming/redis_clock.lua
local key, now = MCP_SESSION .. sid, redis_now_ms()
local found = redis.call('HMGET', key, 'account', 'agent', 'host', 'until')
if found[1] ~= account then return {} end
redis.call('PEXPIRE', key, ttl_ms)
for _, set in ipairs({MCP_ACCOUNT .. account, MCP_SESSIONS}) do
  redis.call('ZADD', set, now + ttl_ms, sid)
  redis.call('PEXPIRE', set, ttl_ms)
end
local host = found[3]
if not host or tonumber(found[4] or '0') <= now then host = '' end
return {found[2] or '', host}
