-- A chunk with the agents in it, of one moment.  last_id is of the entry that its last snapshot was of.
-- Returns {chunk, {{agent, hash}...}}; false: it is gone, or nothing has changed.
-- args: id, last_id
-- include: cluster/chunk_of.lua
local chunk = chunk_of(id)
if #chunk[1] == 0 or (chunk[5] == last_id and chunk[5] ~= '0-0') then return false end
local agents, ids = {}, chunk[2]
for i = 2, #chunk[3], 2 do ids[#ids + 1] = cjson.decode(chunk[3][i]).record.agent_id end
for _, agent in ipairs(ids) do agents[#agents + 1] = {agent, redis.call('HGETALL', AGENT .. agent)} end
return {chunk, agents}
