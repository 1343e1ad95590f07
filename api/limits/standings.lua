-- Where several agents stand; for each {strikes not yet forgotten, milliseconds until the oldest of them is,
-- who muted it or '', for how many milliseconds still, when it was last given a strike or muted or ''}.
-- args: *ids
-- include: streaming/redis_clock.lua
local now, rows = redis_now_ms(), {}
for i = ids, #ARGV do
  local id, live, next_ms = ARGV[i], 0, 0
  for _, forgotten_at in ipairs(redis.call('LRANGE', STRIKES .. id, 0, -1)) do
    local left = tonumber(forgotten_at) - now
    if left > 0 then live, next_ms = live + 1, left end
  end
  local muted_by = redis.call('GET', MUTE .. id)
  local last = redis.call('ZSCORE', MODERATED, id)
  rows[#rows + 1] = {live, next_ms, muted_by or '', muted_by and redis.call('PTTL', MUTE .. id) or 0, last or ''}
end
return rows
