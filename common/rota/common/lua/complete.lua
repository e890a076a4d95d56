-- complete: running -> succeeded or dead. Ends runs, frees their jobs' slots, tells who waits.
--
-- KEYS[1]  the group's root key
-- ARGV     five values for each run:
--          job_id, fence, outcome (succeeded or dead), completion (msgpack), result (msgpack or '')
-- Returns  a word for each run:
--          completed  accepted, now or when the same completion came before
--          stale      the run is no longer held under this fence; nothing was written

local reply = {}
for i = 1, #ARGV, 5 do
  local id, fence = ARGV[i], ARGV[i + 1]
  local run = held_by(id, fence)
  local word = 'completed'
  if run then
    end_attempt(run)
    finish(run, ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])
    call('HSET', P .. ':s:' .. run.tenant .. '/' .. run.job, 'fence', fence)
  else
    -- The reply to the first sending was lost: the job's slot knows the last fence it accepted.
    local ref = string.match(id, '^([^:]+):')
    if not ref or call('HGET', P .. ':s:' .. ref, 'fence') ~= fence then word = 'stale' end
  end
  reply[#reply + 1] = word
end
save()
return reply
