-- All of the world that must last, at one moment.  others are agents that may not be in the world; those in it are
-- found here, so nobody who walks or joins meanwhile is seen twice or missed.
-- Returns {world, {{shard, hash}...}, {{id, chunk}...}, {{agent, hash}...}, id of the newest fact}.
-- args: *others
-- include: cluster/chunk_of.lua
local chunks, agents, shards, seen = {}, {}, {}, {}
local function agent(id)
  if seen[id] then return end
  seen[id] = true
  local hash = redis.call('HGETALL', AGENT .. id)
  if #hash > 0 then agents[#agents + 1] = {id, hash} end
end
for _, id in ipairs(redis.call('SMEMBERS', CHUNKS)) do
  local chunk = chunk_of(id)
  chunks[#chunks + 1] = {id, chunk}
  for _, member in ipairs(chunk[2]) do agent(member) end
  for i = 2, #chunk[3], 2 do agent(cjson.decode(chunk[3][i]).record.agent_id) end
end
for i = others, #ARGV do agent(ARGV[i]) end
for n = 0, SHARDS_MOST - 1 do
  local hash = redis.call('HGETALL', SHARD .. n)
  if #hash > 0 then shards[#shards + 1] = {tostring(n), hash} end
end
local archived = '0-0'
if redis.call('EXISTS', ARCHIVE_STREAM) == 1 then
  local info = redis.call('XINFO', 'STREAM', ARCHIVE_STREAM)
  for i = 1, #info, 2 do if info[i] == 'last-generated-id' then archived = info[i + 1] end end
end
return {redis.call('HGETALL', WORLD), shards, chunks, agents, archived}
