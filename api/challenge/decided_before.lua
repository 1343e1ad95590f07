-- Defines decided_before(id, server_cmd_id): whether the agent's record knows the command.
local function decided_before(id, server_cmd_id)
  local record = redis.call('HGET', AGENT .. id, 'rec')
  return record and string.find(record, '"' .. server_cmd_id .. '"', 1, true)
end
