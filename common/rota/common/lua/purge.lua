-- purge: dead -> nothing. A dead letter and its payload are deleted.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  job_id
-- Returns  the epoch; ms until the gate closes, else 0; then a word:
--          purged   it is gone
--          unknown  there is no such dead letter, or no longer

local record = P .. ':j:' .. ARGV[2]
if call('HGET', record, 'state') == 'dead' then
  call('DEL', record)
  call('ZREM', P .. ':dead', ARGV[2])
  drop_fan(ARGV[2])
  answer('purged')
else
  answer('unknown')
end
return reply
