-- register: no move of a run. A worker becomes known, or stays so: only then is it given runs, and
-- woken by name. A script, so that at maxmemory one that starts can help to drain.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  worker id
-- ARGV[3]  how long it is known, ms
-- ARGV[4]  what it tells about itself (msgpack WorkerInfo)
-- ARGV     from 5 on, one value for each handler: its name
-- Returns  the epoch; ms until the gate closes, else 0

local worker, ttl = ARGV[2], tonumber(ARGV[3])
local served, known = P .. ':wh:' .. worker, P .. ':workers'

call('SET', P .. ':w:' .. worker, ARGV[4], 'PX', int(ttl))
for i = 5, #ARGV, 1 do call('SADD', served, ARGV[i]) end
call('PEXPIRE', served, int(ttl))
call('ZADD', known, int(now + ttl), worker)
call('ZREMRANGEBYSCORE', known, '-inf', int(now))
return reply
