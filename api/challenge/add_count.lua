-- Defines add_count(key, name, more): adds to a count of an agent's difficulty, or forgets it (more is '').
local function add_count(key, name, more)
  if more == '' then redis.call('HDEL', key, name) else redis.call('HINCRBY', key, name, more) end
  redis.call('PEXPIRE', key, STATE_TTL_MS)
end
