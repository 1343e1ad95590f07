-- Writes a job anew in its place; one that is not kept any more is left out.  Returns 1 if it was there.
-- args: id, job
for number, kept in ipairs(redis.call('LRANGE', JOBS, 0, -1)) do
  if cjson.decode(kept).job_id == id then
    redis.call('LSET', JOBS, number - 1, job)
    return 1
  end
end
return 0
