-- Returns 1 when there is anything of a world, otherwise 0.
-- include: streaming/each_key.lua
return each_key(function() return true end)
