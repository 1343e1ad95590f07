-- Returns a part of the live chunks with who owns them: {cursor for the next part, {chunk, shard, ...}}.
-- args: cursor, count
local found = redis.call('SSCAN', CHUNKS, cursor, 'COUNT', count)
local rows = {}
for _, id in ipairs(found[2]) do
  rows[#rows + 1] = id
  rows[#rows + 1] = redis.call('HGET', CHUNK .. id, 'shard') or ''
end
return {found[1], rows}
