-- rescue: running -> queued, dead when the attempts are spent, or cancelled. Takes back the runs of workers
-- that did not renew their leases. The attempt counts: a run that kills its workers comes to an end.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  the most runs to rescue in one call
-- Returns  the epoch; ms until the gate closes (then nothing was done), else 0; then ms until the
--          next lease ends, -1 if there is none; then for each rescued run
--          job_id, worker, attempt, state (queued, dead or cancelled)

if wait > 0 then
  answer(wait)
  return reply
end
local rescued = {}
local ids = call('ZRANGEBYSCORE', P .. ':leases', '-inf', int(now), 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do
  local run = held_by(id)
  if not run then
    call('ZREM', P .. ':leases', id)
  else
    local t, state = end_attempt(run), 'queued'
    local report = report_on(run, 'retrying', 'WorkerLost', 'the lease ended without a renewal')
    -- Under a fence of our own: the silent worker's completion is not the one that was accepted.
    fence = fence + 1
    run.fence = int(fence)
    if run.cancel then
      state = 'cancelled'
      cancelled(run)
    elseif run.attempt < run.attempts then
      note_attempt(run, report.error)
      call('HSET', P .. ':j:' .. id, 'state', 'queued')
      push(id, t, 'LPUSH', run.handler, run.priority)
      publish(run, cmsgpack.pack(report))
    else
      state, report.outcome = 'dead', 'dead'
      finish(run, 'dead', cmsgpack.pack(report), '')
    end
    for _, value in ipairs({id, run.worker, run.attempt, state}) do rescued[#rescued + 1] = value end
  end
end
save()
answer(until_first(P .. ':leases'))
for _, value in ipairs(rescued) do answer(value) end
return reply
