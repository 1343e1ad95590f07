-- An agent's last connection to a gateway is over: puts back the tokens that it has not used, adds its counts, and
-- notes the command that it leaves undecided ('': none), unless that is decided by now.
-- args: id, burst, interval_us, tokens, server_cmd_id, undecided_ms, *counts
-- counts: name, more
-- include: streaming/redis_clock.lua, api/limits/token_bucket.lua, api/challenge/add_counts.lua
-- include: api/challenge/decided_before.lua, api/challenge/refused_before.lua
tokens = tonumber(tokens)
if tokens > 0 then
  give_tokens(COMMAND_BUCKET .. id, tonumber(burst), tonumber(interval_us), tokens, redis_now_us())
end
if server_cmd_id ~= '' and not decided_before(id, server_cmd_id) and not refused_before(server_cmd_id) then
  redis.call('SET', INFLIGHT .. id, server_cmd_id, 'PX', undecided_ms)
end
local added = {}
for i = counts, #ARGV, 2 do
  local name, more = unpack(ARGV, i, i + 1)
  added[#added + 1] = {name, more}
end
add_counts(DIFFICULTY .. id, added)
return 1
