-- Defines add_counts(key, added): adds to the counts of an agent's difficulty; added is of {name, more}, and a count
-- whose more is '' is forgotten.  Returns all of the hash, as HGETALL does.  Four calls at most, however many they are.
local function add_counts(key, added)
  local flat, counts, changed, forgotten = redis.call('HGETALL', key), {}, {}, {}
  if #added == 0 then return flat end
  for i = 1, #flat, 2 do counts[flat[i]] = flat[i + 1] end
  for _, one in ipairs(added) do
    local name, more = one[1], one[2]
    if more == '' then
      counts[name] = nil
      forgotten[#forgotten + 1] = name
    else
      counts[name] = string.format('%d', (counts[name] or 0) + more)
      changed[#changed + 1] = name
      changed[#changed + 1] = counts[name]
    end
  end
  if #changed > 0 then redis.call('HSET', key, unpack(changed)) end
  if #forgotten > 0 then redis.call('HDEL', key, unpack(forgotten)) end
  redis.call('PEXPIRE', key, STATE_TTL_MS)
  flat = {}
  for name, count in pairs(counts) do
    flat[#flat + 1] = name
    flat[#flat + 1] = count
  end
  return flat
end
