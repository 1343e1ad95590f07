-- Defines refused_before(server_cmd_id): whether its gateway has refused the command: given up, or not to be said.
local function refused_before(server_cmd_id)
  local found = redis.call('HMGET', CHALLENGE .. server_cmd_id, 'state', 'outcome')
  return found[1] == 'REFUSED' or (found[2] and found[2] ~= 'said')
end
