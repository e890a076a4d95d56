-- promote: retrying -> queued, for the runs that have rested long enough. Tenants that were over
-- their rates for long enough may start runs again, and idle workers hear of it.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  the most runs to promote, and tenants to let start again, in one call
-- Returns  the epoch; ms until the gate closes (then nothing was done), else 0; then how many were
--          promoted, and ms until the next may be due, -1 if there is none

if wait > 0 then
  answer(0, wait)
  return reply
end
local PAUSE = 20  -- ms between two looks at fast rates; workers that are busy look themselves
local ids = call('ZRANGEBYSCORE', P .. ':retries', '-inf', int(now), 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do
  local record = P .. ':j:' .. id
  call('ZREM', P .. ':retries', id)
  local r = call('HMGET', record, 'state', 'tenant', 'handler', 'priority')
  if r[1] == 'retrying' then
    call('HSET', record, 'state', 'queued')
    push(id, tenant(r[2]), 'RPUSH', r[3], r[4])
  end
end
-- A tenant that starts one at once is due again when the next permit has grown.
local soonest = math.huge
for _, name in ipairs(readmit(ARGV[2])) do
  local t = tenant(name)
  soonest = math.min(soonest, math.max(t.interval, PAUSE))
end
save()
for key, least in pairs({[':retries'] = 0, [':limited'] = PAUSE}) do
  local next_due = until_first(P .. key)
  if next_due >= 0 then soonest = math.min(soonest, math.max(next_due, least)) end
end
answer(#ids, soonest == math.huge and -1 or math.ceil(soonest))
return reply
