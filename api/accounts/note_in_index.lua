-- Defines note_in_index(key_id, jti, exp, ttl_ms): notes a session among those of its API key.
local function note_in_index(key_id, jti, exp, ttl_ms)
  local index = SESSIONS_OF_KEY .. key_id
  redis.call('ZADD', index, exp, jti)
  if redis.call('PTTL', index) < ttl_ms then redis.call('PEXPIRE', index, ttl_ms) end
end
