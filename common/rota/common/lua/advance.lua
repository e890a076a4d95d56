-- advance: running -> fanned, queued, succeeded, dead or cancelled. An attempt succeeded of a run that
-- may have more to do: tasks that it planned, its next phase; or it was the handler for a failure.
-- While the gate is open, a report that the store has forgotten is taken again.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV     from 2 on, eight values for each run:
--          job_id, fence, due (ms), completion (msgpack), result (msgpack or ''), body,
--          tasks (how many it planned), waited (ms in the worker before the attempt began)
-- Returns  the epoch; ms until the gate closes, else 0; then a word for each run:
--          completed  accepted, now or when the same report came before
--          stale      the run is no longer held under this fence; nothing was written

local function advance(run, planned, completion, result)
  if planned == 0 then return pass(run, completion, result) end
  local f = run.phase and fan_of(run.id)
  if f and f.planned == planned then return fan_out(f) end
  call('HINCRBY', P .. ':repairs', 'plan_lost', 1)  -- a part of it, with the store's last writes
  begin_anew(run)
end

-- Make of what the store remembers of the run one that can go on, unless its job has another one;
-- one that is lost with its plan is the scheduler's to enqueue again.
local function brought_back(id, held, due, body, planned)
  local slot, record = slot_of(id), P .. ':j:' .. id
  local other = call('HGET', slot, 'run')
  if other and other ~= id or planned > 0 and call('EXISTS', record) == 0 then return nil end
  local run = restored(id, held, due)
  if run then
    call('HSET', slot, 'run', id)
    call('HSETNX', record, 'body', body)
    call('HSETNX', record, 'keep', run.keep)
    rejoined(id, body)
    run.phase = phase_of(body)
  end
  return run
end

for i = 2, #ARGV, 8 do
  local id, held = ARGV[i], ARGV[i + 1]
  local record, run = P .. ':j:' .. id, held_by(id, held)
  local word = 'completed'
  if run then
    end_attempt(run, tonumber(ARGV[i + 7]))
  elseif wait > 0 then
    run = brought_back(id, held, tonumber(ARGV[i + 2]), ARGV[i + 5], tonumber(ARGV[i + 6]))
  end
  if run then
    call('HSET', record, 'advanced', held)
    advance(run, tonumber(ARGV[i + 6]), ARGV[i + 3], ARGV[i + 4])
  elseif call('HGET', record, 'advanced') ~= held and not known_end(id, held) then
    word = 'stale'  -- else the reply to the first sending was lost
  end
  answer(word)
end
save()
return reply
