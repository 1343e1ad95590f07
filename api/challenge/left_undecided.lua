-- Defines left_undecided(id): the command that the agent's last connection left undecided, nil if there is none.  The
-- shard decides without a look at it, so one that is decided by now is taken out here.
-- include: api/challenge/decided_before.lua
local function left_undecided(id)
  local slot = redis.call('GET', INFLIGHT .. id)
  if not slot then return nil end
  if not decided_before(id, slot) then return slot end
  redis.call('DEL', INFLIGHT .. id)
end
