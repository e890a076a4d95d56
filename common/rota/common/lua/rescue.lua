-- rescue: running -> queued, or dead when the attempts are spent. Takes back the runs of workers
-- that did not renew their leases. The attempt counts: a run that kills its workers comes to an end.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the most runs to rescue in one call
-- Returns  {wait, rescued*}: ms until the next lease ends, -1 if there is none; then for each run
--          job_id, worker, attempt, state (queued or dead)

local reply = {-1}
local ids = call('ZRANGEBYSCORE', P .. ':leases', '-inf', int(now), 'LIMIT', 0, ARGV[1])
for _, id in ipairs(ids) do
  local run = held_by(id)
  if not run then
    call('ZREM', P .. ':leases', id)
  else
    local t, state = end_attempt(run), 'queued'
    local report = {v = 1, job_id = id, tenant = run.tenant, job = run.job, attempt = run.attempt,
                    worker = run.worker, took_ms = now - run.at, outcome = 'retrying',
                    error = {kind = 'WorkerLost', message = 'the lease ended without a renewal'}}
    if run.attempt < run.attempts then
      call('HSET', P .. ':j:' .. id, 'state', 'queued')
      push(id, t, 'LPUSH')
      publish(cmsgpack.pack(report))
    else
      state, report.outcome = 'dead', 'dead'
      finish(run, 'dead', cmsgpack.pack(report), '')
    end
    for _, value in ipairs({id, run.worker, run.attempt, state}) do reply[#reply + 1] = value end
  end
end
save()
local first = call('ZRANGE', P .. ':leases', 0, 0, 'WITHSCORES')
if first[2] then reply[1] = math.max(0, tonumber(first[2]) - now) end
return reply
