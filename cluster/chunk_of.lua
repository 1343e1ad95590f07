-- Defines chunk_of(id): {hash, members, inbox, reservations, id and message of the stream's last entry} of a chunk.
local function chunk_of(id)
  local last = redis.call('XREVRANGE', CHUNK_STREAM .. id, '+', '-', 'COUNT', 1)[1]
  return {redis.call('HGETALL', CHUNK .. id), redis.call('SMEMBERS', MEMBERS .. id),
    redis.call('HGETALL', INBOX .. id), redis.call('HGETALL', RESERVATIONS .. id), last and last[1] or '0-0',
    last and last[2][2] or ''}
end
