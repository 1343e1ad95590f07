-- Ends a session by its id, and tells every gateway.  Returns 1 if it was alive.
-- args: jti
local jti_key = SESSION_BY_JTI .. jti
local key = redis.call('GET', jti_key)
if key then redis.call('DEL', key, jti_key) end
redis.call('PUBLISH', CHANNELS .. SESSIONS_CHANNEL, 'jti ' .. jti)
return key and 1 or 0
