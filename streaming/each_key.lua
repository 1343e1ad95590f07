-- Defines each_key(each): calls it with the full name of every key of the script's world, and of none of another's,
-- until it returns true.  Returns whether it did, as 1 or 0.
local function each_key(each)
  local cursor = '0'
  repeat
    local page = server.call('SCAN', cursor, 'MATCH', NAMESPACE .. '*', 'COUNT', 1000)
    cursor = page[1]
    for _, key in ipairs(page[2]) do
      if (NAMESPACE ~= '' or string.sub(key, 1, #NAMED) ~= NAMED) and each(key) then return 1 end
    end
  until cursor == '0'
  return 0
end
