-- Prolongs what a gateway plays.  Returns the sessions that are not its own any more.
-- args: gateway, lease_ms, *sids
-- include: streaming/redis_clock.lua
local now, lost = redis_now_ms(), {}
for i = sids, #ARGV do
  local key = MCP_SESSION .. ARGV[i]
  if redis.call('HGET', key, 'host') == gateway then
    redis.call('HSET', key, 'until', now + lease_ms)
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
