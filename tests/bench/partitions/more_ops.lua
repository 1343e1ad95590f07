  elseif op == 'W' then -- an agent wants to go: its intent stands for some milliseconds
    local handoff, attempt, ttl_ms = unpack(ARGV, i + 1, i + 3)
    local deadline = redis_now_ms() + ttl_ms
    redis.call('HSET', INTENTS, handoff, attempt .. ' ' .. string.format('%d', deadline))
    i = i + 4
  elseif op == 'O' then -- it goes: its record and what gateways wrote to it leave with it, under the pair's next number
    local target, handoff, reservation, agent, chunk, arrival = unpack(ARGV, i + 1, i + 6)
    redis.call('HDEL', INTENTS, handoff)
    local number = redis.call('HINCRBY', SENT, target, '1')
    local held = redis.call('HMGET', AGENT .. agent, 'seq', 'pieces', 'refused')
    local head = table.concat({reservation, chunk, agent, held[1], held[2], held[3] or '-'}, ' ')
    redis.call('HSET', OUTBOX .. target, number, head .. '\n' .. arrival)
    redis.call('DEL', AGENT .. agent)
    i = i + 7
  elseif op == 'K' then -- arrivals up to this number are in the other partition: forget them
    local target, upto = unpack(ARGV, i + 1, i + 2)
    for _, number in ipairs(redis.call('HKEYS', OUTBOX .. target)) do
      if tonumber(number) <= tonumber(upto) then redis.call('HDEL', OUTBOX .. target, number) end
    end
    i = i + 3
  elseif op == 'A' then -- what came with an agent, before any event of it here
    local agent, last, pieces, refused = unpack(ARGV, i + 1, i + 4)
    redis.call('HSET', AGENT .. agent, 'seq', last, 'pieces', pieces, 'refused', refused)
    i = i + 5
