-- Opens a model's session.  Returns 'opened', 'known' (it is there already) or 'full' (too many in all); of an account
-- that has too many, the one that was unused for longest ends.
-- args: sid, account, key_id, ttl_ms, account_max, most
-- include: streaming/redis_clock.lua
local now = redis_now_ms()
local mine = MCP_ACCOUNT .. account
redis.call('ZREMRANGEBYSCORE', MCP_SESSIONS, '-inf', now)
redis.call('ZREMRANGEBYSCORE', mine, '-inf', now)
if redis.call('EXISTS', MCP_SESSION .. sid) == 1 then return 'known' end
while redis.call('ZCARD', mine) >= tonumber(account_max) do
  local oldest = redis.call('ZRANGE', mine, 0, 0)[1]
  redis.call('DEL', MCP_SESSION .. oldest)
  redis.call('ZREM', mine, oldest)
  redis.call('ZREM', MCP_SESSIONS, oldest)
end
if redis.call('ZCARD', MCP_SESSIONS) >= tonumber(most) then return 'full' end
redis.call('HSET', MCP_SESSION .. sid, 'account', account, 'key', key_id)
redis.call('PEXPIRE', MCP_SESSION .. sid, ttl_ms)
redis.call('ZADD', mine, now + ttl_ms, sid)
redis.call('PEXPIRE', mine, ttl_ms)
redis.call('ZADD', MCP_SESSIONS, now + ttl_ms, sid)
redis.call('PEXPIRE', MCP_SESSIONS, ttl_ms)
return 'opened'
