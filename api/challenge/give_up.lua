-- Refuses a submitted command as busy.  Returns 'refused', or 'decided': it is, or was given up before.
-- args: id, server_cmd_id, client_cmd_id, now_ms, trace, retry_ms, issued_ms, challenge
-- include: api/challenge/tell.lua, api/challenge/decided_before.lua, api/challenge/free_slot.lua
if decided_before(id, server_cmd_id) then return 'decided' end
local key = CHALLENGE .. server_cmd_id
if redis.call('HGET', key, 'state') == 'REFUSED' then return 'decided' end
-- The shard's commit looks here, so that a command given up is never accepted after all.
redis.call('HSET', key, 'state', 'REFUSED')
redis.call('PEXPIRE', key, REFUSED_KEPT_MS)
free_slot(id, server_cmd_id)
tell_challenge(id, issued_ms, trace, challenge)
tell_refusal(id, now_ms, trace, server_cmd_id, client_cmd_id, 'busy', '', retry_ms)
return 'refused'
