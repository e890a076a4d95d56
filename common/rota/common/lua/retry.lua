-- retry: running -> retrying, or cancelled if somebody cancelled it meanwhile. The attempt failed;
-- the run rests and keeps its job's slot. A call whose time is over by then is dead.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV     from 2 on, five values for each run: job_id, fence, rest (ms), completion (msgpack),
--          waited (ms in the worker before the attempt began)
-- Returns  the epoch; ms until the gate closes, else 0; then a word for each run:
--          retrying  accepted, now or when the same came before
--          stale     the run is no longer held under this fence; nothing was written

for i = 2, #ARGV, 5 do
  local id, held = ARGV[i], ARGV[i + 1]
  local record, run = P .. ':j:' .. id, held_by(id, held)
  local word = 'retrying'
  if run then
    end_attempt(run, tonumber(ARGV[i + 4]))
    local report = told(ARGV[i + 3])
    if run.cancel then
      cancelled(run)
    elseif run.latest and now + tonumber(ARGV[i + 2]) >= run.latest then
      report.outcome, report.next_ms = 'dead', nil
      finish(run, 'dead', cmsgpack.pack(report), '')
    else
      note_attempt(run, report.error)
      call('HSET', record, 'state', 'retrying', 'rested', held)
      call('ZADD', P .. ':retries', int(now + tonumber(ARGV[i + 2])), id)
      publish(run, ARGV[i + 3])
    end
  elseif call('HGET', record, 'rested') ~= held and not (is_call(id) and known_end(id, held)) then
    word = 'stale'  -- else the reply to the first sending was lost
  end
  answer(word)
end
save()
return reply
