-- Tokens for the next commands of an agent, for the counts that its gateway has made since the last time.  Returns
-- {'ok' or 'dead': no session, tokens, ms until there is one if there is none, ms of cooldown, whether the agent may
-- be busy, its difficulty}.
-- args: id, jti, burst, interval_us, most, *counts
-- counts: name, more
-- include: streaming/redis_clock.lua, api/limits/token_bucket.lua, api/challenge/add_counts.lua
-- include: api/challenge/left_undecided.lua
if redis.call('EXISTS', SESSION_BY_JTI .. jti) == 0 then return {'dead', 0, 0, 0, 0, {}} end
burst, interval_us, most = tonumber(burst), tonumber(interval_us), tonumber(most)
local tokens, wait_ms = take_tokens(COMMAND_BUCKET .. id, burst, interval_us, most, redis_now_us())
local added = {}
for i = counts, #ARGV, 2 do
  local name, more = unpack(ARGV, i, i + 1)
  added[#added + 1] = {name, more}
end
local difficulty = add_counts(DIFFICULTY .. id, added)
local busy = redis.call('HGET', AGENT .. id, 'busy')
local may_be_busy = (busy and busy ~= '' and busy ~= 'harvest') or left_undecided(id) ~= nil
local cooldown_ms = math.max(0, redis.call('PTTL', COOLDOWN .. id))
return {'ok', tokens, wait_ms, cooldown_ms, may_be_busy and 1 or 0, difficulty}
