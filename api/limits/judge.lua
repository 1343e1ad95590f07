-- Whether an agent may show a line that is said to nobody; line is 'clean' or 'banned'.  A banned one counts as a
-- violation, as in chat.  Returns {'shown' or 'muted' or 'banned', milliseconds of the mute that holds now or 0}.
-- args: id, line, strikes_max, strike_memory_ms, mute_ms
-- include: api/limits/count_strike.lua
local muted_ms = redis.call('PTTL', MUTE .. id)
if muted_ms > 0 then return {'muted', muted_ms} end
if line ~= 'banned' then return {'shown', 0} end
local left = count_strike(id, tonumber(strikes_max), tonumber(strike_memory_ms), tonumber(mute_ms))
return {'banned', left == 0 and tonumber(mute_ms) or 0}
