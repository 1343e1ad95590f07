-- Opens a session, of an API key unless key_id is empty.
-- Returns 'ok', 'revoked' (the key) or 'too_many' (of its sessions).
-- args: hash, jti, role, account, agent, key_id, secret
-- args: exp, ttl_ms, key_exp, now, most
-- include: api/accounts/note_in_index.lua
if key_id ~= '' then
  if redis.call('EXISTS', REVOKED_KEY .. key_id) == 1 then return 'revoked' end
  local index = SESSIONS_OF_KEY .. key_id
  if redis.call('ZCARD', index) >= tonumber(most) then
    redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
    if redis.call('ZCARD', index) >= tonumber(most) then return 'too_many' end
  end
  note_in_index(key_id, jti, exp, tonumber(ttl_ms))
end
local key = SESSION .. hash
redis.call('HSET', key, 'jti', jti, 'role', role, 'account', account, 'agent', agent, 'key', key_id, 'secret', secret,
  'exp', exp, 'kexp', key_exp)
redis.call('PEXPIRE', key, ttl_ms)
redis.call('SET', SESSION_BY_JTI .. jti, key, 'PX', ttl_ms)
return 'ok'
