-- Refuses a request or an answer (server_cmd_id), with the challenge that it is about before it.  paid: a token was
-- taken for it.  busy_ms: only if the agent is busy, with the undecided command submitted or with what else it does.
-- Returns {'refused', 'decided': its ack was given by the shard or with its refusal, 'flood': too many to be told or
-- 'free': not busy, cooldowns of late if it began one, ms of the cooldown for which it was refused}.
-- args: id, server_cmd_id, client_cmd_id, now_ms, trace, reason, code, retry_ms, paid, burst, interval_us
-- args: busy_ms, submitted, issued_ms, challenge_trace, challenge
-- args: failures_max, window_ms, cooldown_ms, memory_ms
-- include: streaming/redis_clock.lua, api/limits/token_bucket.lua, api/challenge/count_failure.lua
-- include: api/challenge/tell.lua, api/challenge/left_undecided.lua, api/challenge/refused_before.lua
burst, interval_us = tonumber(burst), tonumber(interval_us)
if busy_ms ~= '' then
  retry_ms = busy_ms
  if submitted == '' or decided_before(id, submitted) then
    local slot_ms, busy = 0, redis.call('HGET', AGENT .. id, 'busy')
    if left_undecided(id) then slot_ms = redis.call('PTTL', INFLIGHT .. id) end
    if slot_ms > 0 then
      retry_ms = string.format('%d', math.min(slot_ms, tonumber(busy_ms)))
    elseif not busy or busy == '' or busy == 'harvest' then
      return {'free', 0, 0}
    end
  end
end
local cooldowns, cooling_ms = 0, 0
if server_cmd_id ~= '' then
  -- Its ack was given, or is on its way from the shard: another gateway of this agent's has submitted it.
  if decided_before(id, server_cmd_id) or refused_before(server_cmd_id)
    or redis.call('GET', INFLIGHT .. id) == server_cmd_id then
    return {'decided', 0, 0}
  end
  cooling_ms = math.max(0, redis.call('PTTL', COOLDOWN .. id))
  if cooling_ms > 0 then
    reason, code, retry_ms = 'rate_limited', '', string.format('%d', cooling_ms)
  elseif reason == 'auth_failed' then
    cooldowns = count_failure(id, now_ms, failures_max, window_ms, cooldown_ms, memory_ms)
  end
end
if paid ~= '1' then
  local now = redis_now_us()
  if take_token(COMMAND_BUCKET .. id, burst, interval_us, now) > 0
    and take_token(REFUSAL_BUCKET .. id, burst, interval_us, now) > 0 then
    return {'flood', cooldowns, cooling_ms}
  end
end
tell_challenge(id, issued_ms, challenge_trace, challenge)
tell_refusal(id, now_ms, trace, server_cmd_id, client_cmd_id, reason, code, retry_ms)
return {'refused', cooldowns, cooling_ms}
