-- renew: running -> running. Lengthens leases; a long run pays for its service while it runs.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  lease, ms
-- ARGV     from 2 on, two values for each run: job_id, fence
-- Returns  a word for each run:
--          renewed  the lease ends `lease` ms from now
--          lost     the run is no longer held under this fence: stop it and write nothing

local lease, reply = tonumber(ARGV[1]), {}
for i = 2, #ARGV, 2 do
  local id = ARGV[i]
  local run = held_by(id, ARGV[i + 1])
  if run then
    call('ZADD', P .. ':leases', int(now + lease), id)
    local elapsed = now - run.at
    if elapsed > run.charged then
      charge(tenant(run.tenant), elapsed - run.charged)
      call('HSET', P .. ':j:' .. id, 'charged', elapsed)
    end
  end
  reply[#reply + 1] = run and 'renewed' or 'lost'
end
save()
return reply
