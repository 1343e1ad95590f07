-- Returns for each agent {account, chunk, here, busy, muted by or '', channel of its socket or ''}.
-- args: *ids
local rows = {}
for i = ids, #ARGV do
  local id = ARGV[i]
  local a = redis.call('HMGET', AGENT .. id, 'account', 'chunk', 'here', 'busy')
  rows[#rows + 1] = {
    a[1] or '', a[2] or '', a[3] or '0', a[4] or '', redis.call('GET', MUTE .. id) or '',
    redis.call('GET', CONNECTION .. id) or ''
  }
end
return rows
