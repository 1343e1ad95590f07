-- Notes a node as drained, unless no other one is left.  Returns 'ok' or 'last'.
-- args: node, note, *others
local left = 0
for i = others, #ARGV do
  if redis.call('HEXISTS', DRAINED, ARGV[i]) == 0 then left = left + 1 end
end
if left == 0 then return 'last' end
redis.call('HSETNX', DRAINED, node, note)
return 'ok'
