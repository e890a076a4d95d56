-- switch: no move of a run. A revision of the configuration becomes the current one, if the one that
-- it was made from still is. Stands alone, without the library: it belongs to no group.
--
-- KEYS[1]  the key of the revisions
-- ARGV[1]  the name of the revision that is the current one so far, '' if there is none
-- ARGV[2]  the name of the new one; its content has been written already
-- ARGV[3]  its header (msgpack Revision)
-- ARGV[4]  how many revisions are kept, the new one included
-- Returns  the word:
--          current  it is the current one now, or was so already
--          moved    another one is: nothing was done
--          gone     its content has expired meanwhile: nothing was done

local root, name = KEYS[1], ARGV[2]
local call = redis.call
local word = 'current'
local before = call('HGET', root, 'current') or ''
if before == name then return word end
if before ~= ARGV[1] then
  word = 'moved'
  return word
end
if call('PERSIST', root .. ':' .. name) == 0 then
  word = 'gone'
  return word
end
call('HSET', root, 'current', name, name, ARGV[3])

-- The newest are kept, by the number that each name begins with.
local names = {}
for _, field in ipairs(call('HKEYS', root)) do
  if field ~= 'current' and field ~= name then names[#names + 1] = field end
end
table.sort(names, function(a, b)
  return tonumber(string.match(a, '^%d+')) > tonumber(string.match(b, '^%d+'))
end)
for i = tonumber(ARGV[4]), #names do
  call('HDEL', root, names[i])
  call('UNLINK', root .. ':' .. names[i])
end
return word
