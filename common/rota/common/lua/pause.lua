-- pause: no move of a run. Changes what operators have paused, if nobody has since the caller looked.
-- Stands alone, without the library: it belongs to no group.
--
-- KEYS[1]  the key of the pauses
-- ARGV[1]  their version as the caller knows it, 0 if there is none
-- ARGV[2]  the new version
-- ARGV     from 3 on, two values for each change: TENANT or TENANT/JOB, pauses (msgpack)
--          these are '' if it has none any more
-- Returns  the word:
--          changed  it is as it was asked for
--          moved    somebody else has changed it: nothing was done

local call = redis.call
local word = 'changed'
if (call('HGET', KEYS[1], ':version') or '0') ~= ARGV[1] then
  word = 'moved'
  return word
end
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    call('HDEL', KEYS[1], ARGV[i])
  else
    call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
call('HSET', KEYS[1], ':version', ARGV[2])
return word
