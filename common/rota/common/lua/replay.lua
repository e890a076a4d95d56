-- replay: dead -> queued or fanned. A dead letter is tried again as the same run, for the same
-- occurrence: its attempts are counted anew, its payload is what it was. One in phases goes on with
-- the phase that failed and, if its planner had ended well, with the tasks that are not done.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  job_id
-- Returns  the epoch; ms until the gate closes (then nothing was done), else 0; then word, job_id:
--          queued   it is a dead letter no more
--          busy     another run of its job is in flight, as job_id
--          lost     its payload is lost; only purge helps
--          unknown  there is no such dead letter, or no longer

if wait > 0 then return reply end
local id = ARGV[2]
local record, slot = P .. ':j:' .. id, slot_of(id)
local r = call('HMGET', record, 'state', 'tenant', 'handler', 'body', 'priority', 'due')
local other = call('HGET', slot, 'run')
if r[1] ~= 'dead' then
  answer('unknown', id)
elseif other and call('EXISTS', P .. ':j:' .. other) == 1 then
  answer('busy', other)
elseif not r[3] or not r[4] then
  answer('lost', id)
else
  local past = cmsgpack.unpack(call('HGET', record, 'past') or cmsgpack.pack({0, {}, 0}))
  call('HDEL', record, 'completion', 'result', 'rested', 'cancel', 'verdict', 'report',
       'latest', 'at')
  call('HSET', record, 'state', 'queued', 'attempt', 0, 'queued', now - (r[6] or 0) .. '',
       'past', cmsgpack.pack({0, {}, past[3] + 1}))
  call('PERSIST', record)
  call('ZREM', P .. ':dead', id)
  call('HSET', slot, 'run', id, 'at', NOW)
  if call('HGET', slot, 'last') == id then call('HDEL', slot, 'last') end
  if not resume(id) then push(id, tenant(r[2]), 'RPUSH', call('HGET', record, 'handler'), r[5]) end
  save()
  answer('queued', id)
end
return reply
