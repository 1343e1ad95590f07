-- Notes a job unless another one runs, of which something was heard within lost_ms.  Returns 'ok' or 'running'.
-- args: now, lost_ms, most, job
for _, kept in ipairs(redis.call('LRANGE', JOBS, 0, -1)) do
  local one = cjson.decode(kept)
  if one.state == 'running' and tonumber(now) - one.heard_ms <= tonumber(lost_ms) then return 'running' end
end
redis.call('LPUSH', JOBS, job)
redis.call('LTRIM', JOBS, 0, tonumber(most) - 1)
return 'ok'
