-- release: running -> queued. A worker that stops gives back what it holds; no attempt is counted.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV     from 2 on, two values for each run: job_id, fence
-- Returns  the epoch; ms until the gate closes, else 0; then a word for each run:
--          released  it is first in its tenant's queue
--          stale     the run is no longer held under this fence; nothing was written

for i = 2, #ARGV, 2 do
  local run = held_by(ARGV[i], ARGV[i + 1])
  if run then
    local t = end_attempt(run)
    call('HSET', P .. ':j:' .. run.id, 'state', 'queued', 'attempt', run.attempt - 1)
    push(run.id, t, 'LPUSH')
  end
  answer(run and 'released' or 'stale')
end
save()
return reply
