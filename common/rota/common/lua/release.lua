-- release: running -> queued, or retrying, or cancelled if somebody cancelled it meanwhile.
-- A worker that stops gives back what it holds; no attempt is counted. A run whose thread works on
-- until the worker has gone rests so long. Its handler may have begun: a rate's permit stays spent.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV     from 2 on, three values for each run: job_id, fence, rest (ms; 0 for none)
-- Returns  the epoch; ms until the gate closes, else 0; then a word for each run:
--          released  it is first in its tenant's queue, or will be queued when it has rested
--          stale     the run is no longer held under this fence; nothing was written

for i = 2, #ARGV, 3 do
  local run = held_by(ARGV[i], ARGV[i + 1])
  if run then
    local t = end_attempt(run)
    local rest, record = tonumber(ARGV[i + 2]), P .. ':j:' .. run.id
    if run.cancel then
      cancelled(run)
    elseif rest > 0 then
      call('HSET', record, 'state', 'retrying', 'attempt', run.attempt - 1)
      call('ZADD', P .. ':retries', int(now + rest), run.id)
    else
      call('HSET', record, 'state', 'queued', 'attempt', run.attempt - 1)
      push(run.id, t, 'LPUSH', run.handler, run.priority)
    end
  end
  answer(run and 'released' or 'stale')
end
save()
return reply
