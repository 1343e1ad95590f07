-- Before every script of a world with a name: KEYS and redis.call that take and mean names without it.
-- `places` says where each command has its keys; `server` is what Redis calls `redis` (streaming.namespace).
local redis, full_keys, KEYS = {}, KEYS, {}
for _, name in ipairs({'error_reply', 'sha1hex', 'status_reply'}) do redis[name] = server[name] end
for i, key in ipairs(full_keys) do KEYS[i] = string.sub(key, #NAMESPACE + 1) end
places['PUBLISH'] = 'none' -- scripts say CHANNELS themselves
function redis.call(command, ...)
  local words, place = {...}, places[command]
  if place == 'first' then
    words[1] = NAMESPACE .. words[1]
  elseif place == 'second' then
    words[2] = NAMESPACE .. words[2]
  elseif place == 'all' then
    for i, key in ipairs(words) do words[i] = NAMESPACE .. key end
  elseif place ~= 'none' then
    error('streaming.namespace does not know where ' .. command .. ' has its keys')
  end
  return server.call(command, unpack(words))
end
