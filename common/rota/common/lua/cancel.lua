-- cancel: queued, held or retrying -> cancelled, at once; a running one is marked, and its worker
-- told: it ends the handler and completes the run. Whatever else the attempt leads to then, but
-- its completion, ends the run as cancelled. A fanned one ends with the last task that is running.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  job_id
-- Returns  the epoch; ms until the gate closes (then nothing was done), else 0; then a word:
--          cancelled   it is over, and its job's slot is free
--          cancelling  its worker is told, now or when somebody cancelled it before
--          over        it had ended before
--          unknown     there is no such run

if wait > 0 then return reply end
local id = ARGV[2]
local record = P .. ':j:' .. id
local r = call('HMGET', record, 'state', 'tenant', 'job', 'handler', 'attempt', 'keep',
               'priority', 'phase')
local waiting = {queued = true, held = true, retrying = true}

if r[1] == 'running' then
  call_off(held_by(id))
  answer('cancelling')
elseif r[1] == 'fanned' then
  local left_over = stop_fan(id)
  save()
  answer(left_over > 0 and 'cancelling' or 'cancelled')
elseif waiting[r[1]] then
  local t, hold = tenant(r[2]), P .. ':hold:' .. r[4]
  withdraw(id)
  for _, ring in ipairs({'', r[4]}) do call('LREM', list_of(t, ring, r[7]), 0, id) end
  call('LREM', hold, 0, id)
  if call('EXISTS', hold) == 0 then call('SREM', P .. ':held', r[4]) end
  -- Under a fence of our own: no earlier attempt's completion is the one that was accepted.
  fence = fence + 1
  cancelled({id = id, fence = int(fence), tenant = r[2], job = r[3], worker = '',
             attempt = tonumber(r[5]), keep = tonumber(r[6]) or 0, phase = tonumber(r[8])})
  save()
  answer('cancelled')
elseif r[1] or call('HGET', slot_of(id), 'last') == id or is_task(id) and far.task_over(id) then
  answer('over')
else
  answer('unknown')
end
return reply
