"""The Lua scripts of the challenge (docs/decisions/0012-challenge-scripts.md); ``api.challenge.store`` calls them.

Each takes the agent's id first and makes its key names itself.  They answer with small arrays whose first word names
the outcome.
"""

from __future__ import annotations

from typing import Final

from api.challenge.challenge import POW_ALG, SIG_ALG
from api.challenge.cooldown import COUNT_FAILURE
from api.challenge.difficulty import COUNT_ANSWER
from api.limits.rate_limit import TAKE_TOKEN
from api.limits.strikes import COUNT_STRIKE
from streaming.lua import APPEND_AGENT_EVENT, Script

#: Defines ``take_command_token(id, burst, interval_us, now)``: a token of the agent's own bucket.  Gives the
#: milliseconds until there will be one (0: taken), and whether the agent may be told: refusals have a bucket of the
#: same size, so that they can't push results out of the agent's stream.
_TAKE_COMMAND_TOKEN: Final = (
    TAKE_TOKEN
    + """
local function take_command_token(id, burst, interval_us, now)
  local wait = take_token('limit:command_agent:' .. id, burst, interval_us, now)
  return wait, wait == 0 or take_token('limit:refusal:' .. id, burst, interval_us, now) == 0
end
"""
)

#: Defines ``append_refusal(id, now_ms, trace, server_cmd_id, client_cmd_id, reason, code, retry_after_ms, more)`` and
#: small helpers; client_cmd_id may be false, code and retry_after_ms '', more nil or further fields as JSON.  Every
#: part is of an alphabet that needs no escaping in JSON.
_APPEND_REFUSAL: Final = (
    APPEND_AGENT_EVENT
    + """
local function append_refusal(id, now_ms, trace, server_cmd_id, client_cmd_id, reason, code, retry, more)
  local client = client_cmd_id and ('"' .. client_cmd_id .. '"') or 'null'
  local payload = '{"server_cmd_id":"' .. server_cmd_id .. '","client_cmd_id":' .. client
    .. ',"accepted":false,"reason":"' .. reason .. '"'
  if code ~= '' then payload = payload .. ',"code":"' .. code .. '"' end
  if retry ~= '' then payload = payload .. ',"retry_after_ms":' .. retry end
  append_agent_event(id, 'command_ack', now_ms, trace, payload .. (more or '') .. '}')
end
local function decided_before(id, server_cmd_id)
  local record = redis.call('HGET', 'agent:' .. id, 'rec')
  return record and string.find(record, '"' .. server_cmd_id .. '"', 1, true)
end
local function free_slot(id, server_cmd_id)
  if redis.call('GET', 'inflight:' .. id) == server_cmd_id then redis.call('DEL', 'inflight:' .. id) end
end
"""
)

ISSUE: Final = Script(
    "challenge_issue",
    _APPEND_REFUSAL
    + _TAKE_COMMAND_TOKEN
    + f"""
local id, jti, now_ms, trace, server_id, client_id, channel = unpack(ARGV, 1, 7)
local cmd, hash, nonce, expires_at, record_ms, pending_ms = unpack(ARGV, 8, 13)
local start, busy_ms, burst, interval_us = ARGV[14], ARGV[15], tonumber(ARGV[16]), tonumber(ARGV[17])
local account, account_burst, account_interval_us = ARGV[18], tonumber(ARGV[19]), tonumber(ARGV[20])
if redis.call('EXISTS', 'jti:' .. jti) == 0 then return {{'dead', 0, '', 0, ''}} end
local function refuse(reason, retry, limit)
  append_refusal(id, now_ms, trace, '', client_id, reason, '', string.format('%d', retry))
  return {{'refused', 0, reason, retry, limit}}
end
local now_us = redis_now_us()
local wait, may_be_told = take_command_token(id, burst, interval_us, now_us)
local cooldown, limit = redis.call('PTTL', 'cool:' .. id), 'command_agent'
if cooldown > 0 then wait, limit = math.max(wait, cooldown), 'cooldown' end
if wait == 0 then
  -- Asked last, so that an agent that is refused anyway takes nothing from its siblings.
  wait = take_token('limit:command_account:' .. account, account_burst, account_interval_us, now_us)
  limit = 'command_account'
end
if wait > 0 then
  if not may_be_told then return {{'flood', 0, 'rate_limited', wait, limit}} end
  return refuse('rate_limited', wait, limit)
end
if redis.call('EXISTS', 'inflight:' .. id) == 1 then
  return refuse('busy', math.min(redis.call('PTTL', 'inflight:' .. id), tonumber(busy_ms)), '')
end
local busy = redis.call('HGET', 'agent:' .. id, 'busy')
if busy and busy ~= '' and busy ~= 'harvest' then return refuse('busy', tonumber(busy_ms), '') end
local level = redis.call('HGET', 'diff:' .. id, 'level') or start
local key = 'chal:' .. server_id
redis.call('HSET', key, 'state', 'ISSUED', 'client', client_id, 'agent', id, 'jti', jti, 'channel', channel, 'cmd', cmd,
  'hash', hash, 'nonce', nonce, 'issued', now_ms, 'exp', expires_at, 'diff', level, 'trace', trace)
redis.call('PEXPIRE', key, record_ms)
redis.call('SET', 'inflight:' .. id, server_id, 'PX', pending_ms)
append_agent_event(id, 'command_challenge', now_ms, trace, '{{"client_cmd_id":"' .. client_id .. '","server_cmd_id":"'
  .. server_id .. '","nonce":"' .. nonce .. '","expires_at":' .. expires_at .. ',"difficulty":' .. level
  .. ',"channel_id":"' .. channel .. '","sig_alg":"{SIG_ALG}","pow_alg":"{POW_ALG}"}}')
return {{'issued', tonumber(level), '', 0, ''}}
""",
)

_FIELDS: Final = "'state','client','agent','jti','channel','cmd','hash','nonce','issued','exp','diff','trace'"

LOOK_UP: Final = Script(
    "challenge_look_up",
    f"return {{redis.call('PTTL', 'cool:' .. ARGV[1]), redis.call('HMGET', 'chal:' .. ARGV[2], {_FIELDS})}}",
)

CONSUME: Final = Script(
    "challenge_consume",
    _APPEND_REFUSAL
    + COUNT_ANSWER
    + COUNT_STRIKE
    + """
local id, jti, server_id, token, now_ms, trace = unpack(ARGV, 1, 6)
local keep_ms, slow, deadline = ARGV[7], ARGV[8] == '1', ARGV[9]
local chat, chat_ms, strikes_max, memory_ms, mute_ms = ARGV[10], tonumber(ARGV[11]), unpack(ARGV, 12, 14)
if redis.call('EXISTS', 'jti:' .. jti) == 0 then return {'dead', {}} end
local key = 'chal:' .. server_id
local found = redis.call('HMGET', key, 'state', 'by', 'outcome', 'client')
if not found[1] then return {'gone', {}} end
if found[1] ~= 'ISSUED' then
  -- The same answer sent again after its reply was lost on the way finds its own token.
  if found[2] == token then return {found[3], {}} end
  return {'lost', {}}
end
local holder = redis.call('GET', 'inflight:' .. id)
if holder and holder ~= server_id then return {'gone', {}} end
local counts = count_answer(id, now_ms, false, slow)
redis.call('PEXPIRE', key, keep_ms)
-- The challenge is used up without a command; what nobody may hear is not kept either.
local function refuse(outcome, reason, code, retry, more)
  redis.call('HSET', key, 'state', 'CONSUMED', 'by', token, 'outcome', outcome, 'cmd', 'null')
  free_slot(id, server_id)
  append_refusal(id, now_ms, trace, server_id, found[4], reason, code, retry, more)
  return {outcome, counts}
end
if chat ~= '' then
  local muted_ms = redis.call('PTTL', 'mute:' .. id)
  if muted_ms > 0 then return refuse('muted', 'rate_limited', 'muted', string.format('%d', muted_ms)) end
  if chat == 'banned' then
    local left = count_strike(id, tonumber(strikes_max), tonumber(memory_ms), tonumber(mute_ms))
    local more = string.format(',"strikes_left":%d', left)
    if left == 0 then more = more .. string.format(',"muted_ms":%d', mute_ms) end
    return refuse(left > 0 and 'struck' or 'struck_out', 'invalid_cmd', 'banned_words', '', more)
  end
  if chat_ms > 0 and not redis.call('SET', 'chat:' .. id, 1, 'PX', chat_ms, 'NX') then
    return refuse('chat', 'rate_limited', '', string.format('%d', redis.call('PTTL', 'chat:' .. id)))
  end
end
redis.call('HSET', key, 'state', 'CONSUMED', 'by', token, 'outcome', 'consumed', 'deadline', deadline)
redis.call('SET', 'inflight:' .. id, server_id, 'PX', keep_ms)
return {'consumed', counts}
""",
)

REFUSE_ANSWER: Final = Script(
    "challenge_refuse_answer",
    _APPEND_REFUSAL
    + COUNT_ANSWER
    + COUNT_FAILURE
    + _TAKE_COMMAND_TOKEN
    + """
local id, server_id, now_ms, trace, reason, code, retry = unpack(ARGV, 1, 7)
local is_failure, burst, interval_us = ARGV[8] == '1', tonumber(ARGV[9]), tonumber(ARGV[10])
if decided_before(id, server_id) then return {'decided', 0, {}} end
local cooldowns, counts = 0, {}
if is_failure then
  cooldowns = count_failure(id, now_ms, ARGV[11], ARGV[12], ARGV[13], ARGV[14])
  counts = count_answer(id, now_ms, true, false)
end
local _, may_be_told = take_command_token(id, burst, interval_us, redis_now_us())
if not may_be_told then return {'flood', cooldowns, counts} end
local found = redis.call('HMGET', 'chal:' .. server_id, 'agent', 'client')
local client = found[1] == id and found[2]
-- A challenge that was lost before its time can't be answered any more, so it must not keep the agent busy.
if not found[1] then free_slot(id, server_id) end
append_refusal(id, now_ms, trace, server_id, client, reason, code, retry)
return {'refused', cooldowns, counts}
""",
)

REFUSE_REQUEST: Final = Script(
    "challenge_refuse_request",
    _APPEND_REFUSAL
    + _TAKE_COMMAND_TOKEN
    + """
local id, client_id, now_ms, trace, reason, code = unpack(ARGV, 1, 6)
local _, may_be_told = take_command_token(id, tonumber(ARGV[7]), tonumber(ARGV[8]), redis_now_us())
if not may_be_told then return {'flood', 0, {}} end
append_refusal(id, now_ms, trace, '', client_id, reason, code, '')
return {'refused', 0, {}}
""",
)

GIVE_UP: Final = Script(
    "challenge_give_up",
    _APPEND_REFUSAL
    + """
local id, server_id, client_id, now_ms, trace, retry = unpack(ARGV, 1, 6)
if decided_before(id, server_id) then return {'decided', 0, {}} end
local key = 'chal:' .. server_id
if redis.call('HGET', key, 'state') == 'REFUSED' then return {'decided', 0, {}} end
-- Marked, not removed: the shard's commit looks here, so that a command given up is never accepted after all.
redis.call('HSET', key, 'state', 'REFUSED')
redis.call('PEXPIRE', key, 600000)
free_slot(id, server_id)
append_refusal(id, now_ms, trace, server_id, client_id, 'busy', '', retry)
return {'refused', 0, {}}
""",
)

RESUME: Final = Script(
    "challenge_resume",
    f"""
local id, channel = ARGV[1], ARGV[2]
local server_id = redis.call('GET', 'inflight:' .. id)
if not server_id then return {{}} end
local found = redis.call('HMGET', 'chal:' .. server_id, {_FIELDS}, 'deadline')
if found[1] == 'CONSUMED' then return {{server_id, found}} end
if found[5] ~= channel then
  -- Only the channel it was issued on could answer it, and that one is over.
  redis.call('DEL', 'chal:' .. server_id, 'inflight:' .. id)
end
return {{}}
""",
)
