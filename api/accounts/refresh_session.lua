-- Puts off a session's end by ttl seconds from now on, not beyond that of its key.  Returns when it ends; 0: it has.
-- args: hash, now, ttl
-- include: api/accounts/note_in_index.lua
local key = SESSION .. hash
now = tonumber(now)
local found = redis.call('HMGET', key, 'jti', 'key', 'kexp', 'exp')
if not found[1] then return 0 end
local exp = math.max(now + tonumber(ttl), tonumber(found[4]))
if found[3] ~= '' then exp = math.min(exp, tonumber(found[3])) end
if exp <= now then return 0 end
local ttl_ms = (exp - now) * 1000
redis.call('HSET', key, 'exp', string.format('%d', exp))
redis.call('PEXPIRE', key, ttl_ms)
redis.call('SET', SESSION_BY_JTI .. found[1], key, 'PX', ttl_ms)
if found[2] ~= '' then note_in_index(found[2], found[1], string.format('%d', exp), ttl_ms) end
return exp
