-- Defines tell_challenge(id, issued_ms, trace, payload), which does nothing for an empty payload (there is no
-- challenge, or the stream has it), and tell_refusal(id, now_ms, trace, server_cmd_id, client_cmd_id, reason, code,
-- retry_ms, more), where client_cmd_id, code and retry_ms may be empty, more nil or further fields as JSON.  Every
-- part of a refusal is of an alphabet that needs no escaping in JSON.
-- include: streaming/append_agent_event.lua
local function tell_challenge(id, issued_ms, trace, payload)
  if payload ~= '' then append_agent_event(id, 'command_challenge', issued_ms, trace, payload) end
end
local function tell_refusal(id, now_ms, trace, server_cmd_id, client_cmd_id, reason, code, retry_ms, more)
  local client = client_cmd_id ~= '' and ('"' .. client_cmd_id .. '"') or 'null'
  local payload = '{"server_cmd_id":"' .. server_cmd_id .. '","client_cmd_id":' .. client
    .. ',"accepted":false,"reason":"' .. reason .. '"'
  if code ~= '' then payload = payload .. ',"code":"' .. code .. '"' end
  if retry_ms ~= '' then payload = payload .. ',"retry_after_ms":' .. retry_ms end
  append_agent_event(id, 'command_ack', now_ms, trace, payload .. (more or '') .. '}')
end
