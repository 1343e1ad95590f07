    if kind == 'I' then -- an agent may still go: the intent of this attempt stands
      local handoff, attempt = unpack(ARGV, i + 1, i + 2)
      local held = redis.call('HGET', INTENTS, handoff)
      if held then
        local number, deadline = string.match(held, '^(%d+) (%d+)$')
        ok = number == attempt and tonumber(deadline) > now
      end
    end
