-- Puts arrivals from another partition into the inboxes of this one, each once: they bear the dense numbers of the pair
-- of partitions, and what is not the next number is not taken.  Anybody may send it, as often as he likes.
-- Returns {'ok', last} or {'gap', last}, with the number of the last arrival that was taken.
-- keys: taken
-- args: source, *arrivals
-- arrivals: number, chunk, reservation, arrival
local last = tonumber(redis.call('HGET', taken, source) or '0')
local answer = 'ok'
for i = arrivals, #ARGV, 4 do
  local number, chunk, reservation, arrival = unpack(ARGV, i, i + 3)
  number = tonumber(number)
  if number == last + 1 then
    redis.call('HSET', INBOX .. chunk, reservation, arrival)
    last = number
  elseif number > last then
    answer = 'gap'
    break
  end
end
redis.call('HSET', taken, source, string.format('%d', last))
return {answer, last}
