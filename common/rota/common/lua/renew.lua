-- renew: running -> running. Lengthens leases; a long run pays for its service while it runs.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  lease, ms
-- ARGV     from 3 on, two values for each run: job_id, fence
-- Returns  the epoch; ms until the gate closes, else 0; then a word for each run:
--          renewed  the lease ends `lease` ms from now
--          cancel   renewed, too; somebody wants it to end: cancel the handler
--          unknown  the store has lost this claim, or may have, as the gate is open: adopt it
--          lost     the run was taken back or has ended: stop it and write nothing

local lease = tonumber(ARGV[2])
for i = 3, #ARGV, 2 do
  local id, held = ARGV[i], tonumber(ARGV[i + 1])
  local run = held_by(id, ARGV[i + 1])
  if run then
    put(P .. ':leases', id, int(now + lease))
    local elapsed = now - run.at
    if elapsed > run.charged then
      local t = tenant(run.tenant)
      charge(t, elapsed - run.charged)
      t.owed = t.owed + elapsed - run.charged
      call('HSET', P .. ':j:' .. id, 'charged', elapsed)
    end
    answer(run.cancel and 'cancel' or 'renewed')
  else
    answer(may_be_lost(id, held) and 'unknown' or 'lost')
  end
end
save()
return reply
