-- Renews seats, presence, and positions that are not empty.  Returns the channels whose seat another one has.
-- args: presence_ms, seat_s, position_s, *seats
-- seats: id, channel, position
-- include: streaming/redis_clock.lua
local now, lost = redis_now_ms(), {}
for i = seats, #ARGV, 3 do
  local id, channel, position = unpack(ARGV, i, i + 2)
  local owner = redis.call('GET', CONNECTION .. id)
  if not owner or owner == channel then
    redis.call('SET', CONNECTION .. id, channel, 'EX', seat_s)
    redis.call('ZADD', PRESENCE, now + presence_ms, id)
    if position ~= '' then redis.call('SET', AGENT_POSITION .. id, position, 'EX', position_s) end
  else
    lost[#lost + 1] = channel
  end
end
return lost
