-- Whether an agent may say what it has answered for; chat is 'clean' or 'banned'.  Returns 'said', or 'muted',
-- 'struck', 'struck_out' or 'chat' (too soon), and the agent is told so.  Asked again for the same command it returns
-- the same.
-- args: id, server_cmd_id, client_cmd_id, now_ms, trace, keep_ms, chat, chat_ms, strikes_max, strike_memory_ms, mute_ms
-- args: issued_ms, challenge_trace, challenge
-- include: api/challenge/tell.lua, api/challenge/free_slot.lua, api/limits/count_strike.lua
local key = CHALLENGE .. server_cmd_id
local before = redis.call('HGET', key, 'outcome')
if before then return before end
local function settle(outcome)
  redis.call('HSET', key, 'outcome', outcome)
  redis.call('PEXPIRE', key, keep_ms)
  return outcome
end
local function refuse(outcome, reason, code, retry_ms, more)
  tell_challenge(id, issued_ms, challenge_trace, challenge)
  tell_refusal(id, now_ms, trace, server_cmd_id, client_cmd_id, reason, code, retry_ms, more)
  free_slot(id, server_cmd_id)
  return settle(outcome)
end
local muted_ms = redis.call('PTTL', MUTE .. id)
if muted_ms > 0 then return refuse('muted', 'rate_limited', 'muted', string.format('%d', muted_ms)) end
if chat == 'banned' then
  local left = count_strike(id, tonumber(strikes_max), tonumber(strike_memory_ms), tonumber(mute_ms))
  local more = string.format(',"strikes_left":%d', left)
  if left == 0 then more = more .. string.format(',"muted_ms":%d', mute_ms) end
  return refuse(left > 0 and 'struck' or 'struck_out', 'invalid_cmd', 'banned_words', '', more)
end
if tonumber(chat_ms) > 0 and not redis.call('SET', CHAT .. id, 1, 'PX', chat_ms, 'NX') then
  return refuse('chat', 'rate_limited', '', string.format('%d', redis.call('PTTL', CHAT .. id)))
end
return settle('said')
