-- backfill: no move of a run. Begins or ends the backfill of a job; a job has one at a time.
-- Stands alone, without the library: no run and no count depends on it.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  TENANT/JOB
-- ARGV[2]  the number of the backfill to end; 0 to begin one
-- ARGV[3]  here and below of one that begins: when its first occurrence was due, ms
-- ARGV[4]  when its last one was
-- ARGV[5]  how many these are
-- ARGV[6]  who begins it
-- Returns  the word, and the job's backfill (msgpack), '' if it has none:
--          begun      it is now
--          under_way  the job has one already: nothing was done
--          ended      it is no more; a run of it that is under way goes on
--          gone       the job has none of this number: nothing was done

local call, fills = redis.call, KEYS[1] .. ':backfills'
local ref, number = ARGV[1], tonumber(ARGV[2])
local word = 'gone'
local packed = call('HGET', fills, ref) or ''
if number > 0 then
  if packed ~= '' and cmsgpack.unpack(packed)[1] == number then
    word = 'ended'
    call('HDEL', fills, ref)
  end
  return {word, packed}
end
word = 'under_way'
if packed == '' then
  local clock, from, to = call('TIME'), tonumber(ARGV[3]), tonumber(ARGV[4])
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  word = 'begun'
  number = call('HINCRBY', KEYS[1], 'backfills', 1)
  packed = cmsgpack.pack({number, from, to, tonumber(ARGV[5]), ARGV[6], now, from - 1, 0, ''})
  call('HSET', fills, ref, packed)
end
return {word, packed}
