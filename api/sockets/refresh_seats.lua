-- Renews seats, presence, and positions that are not empty.  Returns the channels whose seat another one has (which is
-- renewed with the look at it).
-- args: presence_ms, seat_s, position_s, *seats
-- seats: id, channel, position
-- include: streaming/redis_clock.lua
local until_ms, present, lost = string.format('%d', redis_now_ms() + presence_ms), {}, {}
for i = seats, #ARGV, 3 do
  local id, channel, position = unpack(ARGV, i, i + 2)
  local owner = redis.call('GETEX', CONNECTION .. id, 'EX', seat_s)
  if not owner then redis.call('SET', CONNECTION .. id, channel, 'EX', seat_s) end
  if not owner or owner == channel then
    present[#present + 1] = until_ms
    present[#present + 1] = id
    if position ~= '' then redis.call('SET', AGENT_POSITION .. id, position, 'EX', position_s) end
  else
    lost[#lost + 1] = channel
  end
end
if #present > 0 then redis.call('ZADD', PRESENCE, unpack(present)) end
return lost
