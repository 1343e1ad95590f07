-- An agent's record and, unless start is empty, the entries of its stream from there on, of one moment.
-- Returns {chunk, here, seq, record, entries}.
-- keys: agent, stream
-- args: start
local record = redis.call('HMGET', agent, 'chunk', 'here', 'seq', 'rec')
local entries = {}
if start ~= '' then entries = redis.call('XRANGE', stream, start, '+') end
return {record[1] or '', record[2] or '0', record[3] or '0', record[4] or '', entries}
