-- Takes an intent back, in its source's partition, so that the reserved cell may be freed in the target's: from then on
-- no commit of the source can build on that attempt.  Returns 'free', 'alive' (a later attempt stands, or this one's time
-- is not over and it was not given up) or 'gone' (the agent has left: its arrival comes or has come).
-- keys: intents, outbox
-- args: handoff, attempt, reservation, given_up
-- include: streaming/redis_clock.lua
local held = redis.call('HGET', intents, handoff)
if held then
  local number, deadline = string.match(held, '^(%d+) (%d+)$')
  if tonumber(number) > tonumber(attempt) then return 'alive' end
  if given_up == '0' and tonumber(deadline) > redis_now_ms() then return 'alive' end
  redis.call('HDEL', intents, handoff)
  return 'free'
end
for _, entry in ipairs(redis.call('HVALS', outbox)) do
  if string.sub(entry, 1, #reservation + 1) == reservation .. ' ' then return 'gone' end
end
return 'free'
