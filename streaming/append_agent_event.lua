-- Defines append_agent_event(id, kind, ts_ms, trace, payload): gives the event the agent's next dense number, appends
-- it to the agent's stream and publishes the same bytes.  Returns the number.
-- Numbers go to redis.call as strings: one that it has to write out by itself costs as much as the whole of a small
-- command.
local stream_most, stream_ttl_s = tostring(AGENT_STREAM_MAXLEN), tostring(PROLONGED_S)
local lasting = {}
local function append_agent_event(id, kind, ts_ms, trace, payload)
  local key = AGENT_STREAM .. id
  local n = redis.call('HINCRBY', AGENT .. id, 'seq', '1')
  local m = string.format('%d-0 ', n - 1) .. kind .. ' ' .. ts_ms .. ' ' .. trace .. '\n' .. payload
  local entry = string.format('%d-0', n)
  redis.call('XADD', key, 'MAXLEN', '~', stream_most, entry, 'm', m)
  if not lasting[key] then -- once a script is enough
    redis.call('EXPIRE', key, stream_ttl_s)
    lasting[key] = true
  end
  redis.call('PUBLISH', CHANNELS .. key, entry .. ' ' .. m)
  return n
end
