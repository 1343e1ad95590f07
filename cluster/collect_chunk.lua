-- Removes an empty chunk and its link.  Whatever forbids it is checked in the same step.
-- Returns {'collected', neighbour, its side} or {why not}.
-- args: id, shard, epoch, least_tick, trace
-- include: streaming/redis_clock.lua
local key = CHUNK .. id
local c = redis.call('HMGET', key, 'shard', 'pinned', 'N', 'E', 'S', 'W')
if not c[1] then return {'gone'} end
if c[1] ~= shard or redis.call('HGET', SHARD .. shard, 'epoch') ~= epoch then return {'fenced'} end
if c[2] == '1' then return {'pinned'} end
if redis.call('SCARD', MEMBERS .. id) > 0 then return {'held'} end
if redis.call('HLEN', INBOX .. id) > 0 or redis.call('HLEN', RESERVATIONS .. id) > 0 then return {'entering'} end
local opposite = {'S', 'W', 'N', 'E'}
local neighbor, back = '', ''
for i = 1, 4 do
  if c[i + 2] then
    if neighbor ~= '' then return {'linked'} end
    neighbor, back = c[i + 2], opposite[i]
  end
end
if neighbor ~= '' and redis.call('HGET', CHUNK .. neighbor, back) == id then
  redis.call('HDEL', CHUNK .. neighbor, back)
end
redis.call('SREM', CHUNKS, id)
redis.call('HDEL', POPULATION, id)
redis.call('DEL', key, CHUNK_STATIC .. id, MEMBERS .. id)
local stream = CHUNK_STREAM .. id
local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
local prev = last[1] and last[1][1] or '0-0'
local tick = math.max(tonumber(least_tick), tonumber(string.match(prev, '^(%d+)-')) + 1)
local entry = string.format('%d', tick) .. '-0'
local payload = '{"chunk_id":"' .. id .. '","tick":' .. string.format('%d', tick) .. '}'
local m = prev .. ' chunk_closed ' .. string.format('%d', redis_now_ms()) .. ' ' .. trace .. '\n' .. payload
redis.call('XADD', stream, entry, 'm', m)
redis.call('EXPIRE', stream, 300)
redis.call('PUBLISH', CHANNELS .. stream, entry .. ' ' .. m)
return {'collected', neighbor, back}
