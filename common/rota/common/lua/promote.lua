-- promote: retrying -> queued, for the runs that have rested long enough.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  the most runs to promote in one call
-- Returns  the epoch; ms until the gate closes (then nothing was done), else 0; then how many were
--          promoted, and ms until the next is due, -1 if there is none

if wait > 0 then
  answer(0, wait)
  return reply
end
local ids = call('ZRANGEBYSCORE', P .. ':retries', '-inf', int(now), 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do
  local record = P .. ':j:' .. id
  call('ZREM', P .. ':retries', id)
  local r = call('HMGET', record, 'state', 'tenant')
  if r[1] == 'retrying' then
    call('HSET', record, 'state', 'queued')
    push(id, tenant(r[2]), 'RPUSH')
  end
end
save()
answer(#ids, until_first(P .. ':retries'))
return reply
