-- Frees a reserved cell if nobody can come to it any more.  given_up ('1'): though its deadline has not passed.
-- Returns 'free', 'arrived' or 'alive'.
-- args: chunk, cell, handoff, given_up
-- include: streaming/redis_clock.lua
if redis.call('HEXISTS', INBOX .. chunk, handoff) == 1 then return 'arrived' end
local held = redis.call('HGET', RESERVATIONS .. chunk, cell)
if held then
  local id, deadline = string.match(held, '^(%S+) (%d+)$')
  if id == handoff and given_up == '0' and tonumber(deadline) > redis_now_ms() then return 'alive' end
  if id == handoff then redis.call('HDEL', RESERVATIONS .. chunk, cell) end
end
return 'free'
