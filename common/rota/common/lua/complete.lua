-- complete: running -> succeeded, dead or cancelled. Ends runs, frees their jobs' slots, tells who waits.
-- A task's end is counted by its run, which goes on when all of them are over. One whose handler may
-- lead on to more (see advance) comes here only if that failed or was cancelled.
-- While the gate is open, a completion that the store has forgotten is taken again.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV     from 2 on, seven values for each run: job_id, fence, due (ms),
--          outcome (succeeded, dead or cancelled), completion (msgpack), result (msgpack or ''),
--          waited (ms in the worker before the attempt began)
-- Returns  the epoch; ms until the gate closes, else 0; then a word for each run:
--          completed  accepted, now or when the same completion came before
--          stale      the run is no longer held under this fence; nothing was written

for i = 2, #ARGV, 7 do
  local word = 'completed'
  if not ended(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3], ARGV[i + 4], ARGV[i + 5],
               tonumber(ARGV[i + 6])) then
    word = 'stale'
  end
  answer(word)
end
save()
return reply
