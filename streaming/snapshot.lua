-- A chunk's static and its last delta, of one moment.  last_id and digest are of what the caller has already, which is
-- not sent again.  Returns {1}: nothing has changed; {0, static, its digest, the last entry or false}; false: no chunk.
-- keys: static, stream
-- args: last_id, digest
local found = redis.call('GET', static)
if not found then return false end
local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
local now = redis.sha1hex(found)
if last and last[1] == last_id and now == digest then return {1} end
return {0, found, now, last or false}
