-- lead: no move of a run. A scheduler leads the group, or goes on to, or hears who does.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  scheduler id
-- ARGV[3]  how long it then leads, ms; 0 to resign
-- ARGV[4]  2 if it wants to lead and led last, 1 if it wants to, 0 if it only stands by. While the
--          gate is open only who led last may lead: it knows which runs the store may have lost.
-- Returns  the epoch; ms until the gate closes, else 0; then
--          the caller's term, 0 if it does not lead; the id of who leads now, '' if nobody does;
--          how many schedulers are alive

local me, ttl = ARGV[2], tonumber(ARGV[3])
local alive = P .. ':schedulers'
local m = call('HMGET', P, 'leader', 'led_until', 'term')
local leader, term = m[1] or '', tonumber(m[3]) or 0
if (tonumber(m[2]) or 0) <= now then leader = '' end

call('ZREMRANGEBYSCORE', alive, '-inf', int(now))
if ttl == 0 then
  call('ZREM', alive, me)
  if leader == me then
    leader = ''
    call('HSET', P, 'leader', '')
  end
else
  call('ZADD', alive, int(now + ttl), me)
  if leader == '' and (ARGV[4] == '2' or (ARGV[4] == '1' and wait == 0)) then
    -- The time and the fence as floor: a term rises even if the store lost its data.
    leader, term = me, math.max(term + 1, clock[1] * 1000000 + clock[2], fence)
  end
  if leader == me then
    call('HSET', P, 'leader', me, 'led_until', int(now + ttl), 'term', int(term))
  end
end
answer(leader == me and term or 0, leader, call('ZCARD', alive))
return reply
