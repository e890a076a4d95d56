-- adopt: anything that lost writes left -> running. A worker that lives brings back a claim that
-- the store has forgotten: restarted empty, or a promoted replica that had not got it.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  worker id
-- ARGV[3]  lease, ms
-- ARGV     from 4 on, nine values for each run: job_id, fence, tenant, job, handler, due (ms),
--          attempt, attempts, body
-- Returns  the epoch; ms until the gate closes, else 0; then a word for each run:
--          adopted  the worker holds it again, under the same fence
--          lost     a newer claim holds the run or its job, or the run has ended, or it is a task of
--                   one that nobody knows: stop it
--          What runs already is no new start: it may exceed limits on what runs at a time.

local lease = tonumber(ARGV[3])

-- Whether our claim is newer than what holds the job's slot, if anything does. That goes then:
-- either it was over when ours was claimed, or it came while ours was in flight and is skipped.
local function supersede(slot, id, held)
  if is_task(id) then return true end  -- it has none
  local other = call('HGET', slot, 'run')
  if not other or other == id then return true end
  local fence_of_other = call('HGET', P .. ':j:' .. other, 'fence')
  if fence_of_other and tonumber(fence_of_other) > held then return false end
  withdraw(other)
  abandon(other)
  call('DEL', P .. ':j:' .. other)
  note_gone(other, 'skipped', id)
  return true
end

local function hold_slot(slot, id, due, beside)
  local s = call('HMGET', slot, 'run', 'due')
  if not beside or not s[1] or due >= tonumber(s[2] or 0) then  -- else it is a later one's
    call('HSET', slot, 'run', id, 'at', due > 0 and int(due) or NOW)
  end
  advance_cursor(slot, due)
end

for i = 4, #ARGV, 9 do
  local id, held, name, due = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], tonumber(ARGV[i + 5])
  local record, slot, beside = P .. ':j:' .. id, slot_of(id), told(base_of(ARGV[i + 8])).beside
  local word = 'adopted'
  if held_by(id, ARGV[i + 1]) then
    put(P .. ':leases', id, int(now + lease))
  elseif forgotten(id, held, false, beside and due) and (beside or supersede(slot, id, held)) then
    withdraw(id)
    unnote_gone(id)
    call('HSET', record, 'tenant', name, 'job', ARGV[i + 3], 'handler', ARGV[i + 4], 'due', due,
         'attempts', ARGV[i + 7], 'body', ARGV[i + 8])
    call('PERSIST', record)  -- a call may go when its time is over, or after its end
    call('HSETNX', record, 'keep', due == 0 and KEEP or 0)
    if not rejoined(id, ARGV[i + 8]) then hold_slot(slot, id, due, beside) end
    fence = math.max(fence, held)
    begin_attempt(id, tenant(name), ARGV[i + 1], ARGV[2], lease, ARGV[i + 4], ARGV[i + 6])
  else
    word = 'lost'
  end
  answer(word)
end
save()
return reply
