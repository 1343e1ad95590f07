-- Ends up to most sessions of an API key.  Returns how many it took from the index.
-- args: key_id, most
local taken = redis.call('ZPOPMIN', SESSIONS_OF_KEY .. key_id, most)
for i = 1, #taken, 2 do
  local jti_key = SESSION_BY_JTI .. taken[i]
  local key = redis.call('GET', jti_key)
  if key then redis.call('DEL', key, jti_key) end
end
return #taken / 2
