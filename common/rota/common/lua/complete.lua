-- complete: running -> succeeded, dead or cancelled. Ends runs, frees their jobs' slots, tells who waits.
-- While the gate is open, a completion that the store has forgotten is taken again.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV     from 2 on, six values for each run: job_id, fence, due (ms),
--          outcome (succeeded, dead or cancelled), completion (msgpack), result (msgpack or '')
-- Returns  the epoch; ms until the gate closes, else 0; then a word for each run:
--          completed  accepted, now or when the same completion came before
--          stale      the run is no longer held under this fence; nothing was written

-- Make of what the store remembers of the run, if anything, one that can be finished.
local function restored(id, held, due, beside)
  local name, job = string.match(id, '^([^/]+)/([^:]+):')
  if not name or not forgotten(id, tonumber(held), true, beside and due) then return nil end
  local record = P .. ':j:' .. id
  local keep = call('HGET', record, 'keep') or (due == 0 and KEEP or 0)
  withdraw(id)
  unnote_gone(id)
  advance_cursor(slot_of(id), due)
  spend(tenant(name))
  call('HSET', record, 'tenant', name, 'job', job, 'due', due)
  return {id = id, fence = held, tenant = name, job = job, keep = tonumber(keep)}
end

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
  elseif call('HGET', slot_of(id), 'fence') ~= held
         and not (beside and is_noted(id, tonumber(ARGV[i + 2]), true)) then
    word = 'stale'  -- else the reply to the first sending was lost
  end
  answer(word)
end
save()
return reply
