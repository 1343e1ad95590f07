-- What waits in the stream.
-- Returns {now in ms, entries, id of the oldest or '', entries cut off before they were taken}.
-- keys: stream, stats
-- include: streaming/redis_clock.lua
local now = redis_now_ms()
if redis.call('EXISTS', stream) == 0 then return {now, 0, '', 0} end
local info, flat = {}, redis.call('XINFO', 'STREAM', stream)
for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
local taken = tonumber(redis.call('HGET', stats, 'taken') or '0')
return {now, info['length'], first and first[1] or '', info['entries-added'] - info['length'] - taken}
