-- Returns a part of the live chunks with their neighbours: {cursor for the next part, {{chunk, N, E, S, W}, ...}}.
-- args: cursor, count
local found = redis.call('SSCAN', CHUNKS, cursor, 'COUNT', count)
local rows = {}
for _, id in ipairs(found[2]) do
  local a = redis.call('HMGET', CHUNK .. id, 'N', 'E', 'S', 'W')
  rows[#rows + 1] = {id, a[1] or '', a[2] or '', a[3] or '', a[4] or ''}
end
return {found[1], rows}
