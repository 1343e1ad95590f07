-- One look at everything, for the checker: one that reads piece by piece sees an agent that walks meanwhile twice or
-- nowhere.  others are agents to look at besides those that some chunk names.
-- Returns {world, population, {{chunk, fields, members, inbox, reservations, last entry}...}, {{agent, fields}...},
-- {{shard, epoch}...}, now in ms}.
-- args: *others
-- include: streaming/redis_clock.lua
local chunks, agents, shards, seen = {}, {}, {}, {}
local function agent(id)
  if seen[id] then return end
  seen[id] = true
  agents[#agents + 1] = {id, redis.call('HMGET', AGENT .. id, 'here', 'chunk', 'busy', 'rec')}
end
for _, id in ipairs(redis.call('SMEMBERS', CHUNKS)) do
  local fields = redis.call('HMGET', CHUNK .. id, 'shard', 'N', 'E', 'S', 'W')
  local members, inbox = redis.call('SMEMBERS', MEMBERS .. id), redis.call('HGETALL', INBOX .. id)
  local last = redis.call('XREVRANGE', CHUNK_STREAM .. id, '+', '-', 'COUNT', 1)[1]
  local reserved = redis.call('HGETALL', RESERVATIONS .. id)
  chunks[#chunks + 1] = {id, fields, members, inbox, reserved, last and last[2][2] or ''}
  for _, member in ipairs(members) do agent(member) end
  for i = 2, #inbox, 2 do
    local readable, found = pcall(function() return cjson.decode(inbox[i]).record.agent_id end)
    if readable then agent(found) end
  end
  local owner = fields[1]
  if owner and not shards[owner] then
    shards[owner] = true
    shards[#shards + 1] = {owner, redis.call('HGET', SHARD .. owner, 'epoch') or ''}
  end
end
for i = others, #ARGV do agent(ARGV[i]) end
return {redis.call('HGETALL', WORLD), redis.call('HGETALL', POPULATION), chunks, agents, shards,
  string.format('%d', redis_now_ms())}
