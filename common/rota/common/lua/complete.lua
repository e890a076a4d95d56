-- complete: running -> succeeded, dead or cancelled. Ends runs, frees their jobs' slots, tells who waits.
-- A task's end is counted by its run, which goes on when all of them are over. One whose handler may
-- lead on to more (see advance) comes here only if that failed or was cancelled.
-- While the gate is open, a completion that the store has forgotten is taken again.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV     from 2 on, six values for each run: job_id, fence, due (ms),
--          outcome (succeeded, dead or cancelled), completion (msgpack), result (msgpack or '')
-- Returns  the epoch; ms until the gate closes, else 0; then a word for each run:
--          completed  accepted, now or when the same completion came before
--          stale      the run is no longer held under this fence; nothing was written

for i = 2, #ARGV, 6 do
  local id, held = ARGV[i], ARGV[i + 1]
  local run, beside = held_by(id, held), false
  local word = 'completed'
  if run then
    end_attempt(run)
  else
    beside = told(ARGV[i + 4]).beside
    run = wait > 0 and restored(id, held, tonumber(ARGV[i + 2]), beside)
  end
  if run then
    finish(run, ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
  elseif not known_end(id, held)
         and not (beside and not is_call(id) and is_noted(id, tonumber(ARGV[i + 2]), true)) then
    word = 'stale'  -- else the reply to the first sending was lost
  end
  answer(word)
end
save()
return reply
