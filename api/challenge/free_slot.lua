-- Defines free_slot(id, server_cmd_id): nobody is kept busy any more by this command, if a connection left it behind.
local function free_slot(id, server_cmd_id)
  local slot = INFLIGHT .. id
  if redis.call('GET', slot) == server_cmd_id then redis.call('DEL', slot) end
end
