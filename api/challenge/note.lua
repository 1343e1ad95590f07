-- Brings a challenge that nobody answered into the agent's stream, for its owner.
-- args: id, issued_ms, trace, challenge
-- include: api/challenge/tell.lua
tell_challenge(id, issued_ms, trace, challenge)
return 1
