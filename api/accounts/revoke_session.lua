-- Ends one session, of an API key unless key_id is empty, and tells every gateway.  Returns 1, or 0: it had ended.
-- args: hash, key_id
local jti = redis.call('HGET', SESSION .. hash, 'jti')
if not jti then return 0 end
redis.call('DEL', SESSION .. hash, SESSION_BY_JTI .. jti)
if key_id ~= '' then redis.call('ZREM', SESSIONS_OF_KEY .. key_id, jti) end
redis.call('PUBLISH', CHANNELS .. SESSIONS_CHANNEL, 'jti ' .. jti)
return 1
