-- retry: running -> retrying. The attempt failed; the run rests and keeps its job's slot.
--
-- KEYS[1]  the group's root key
-- ARGV     four values for each run: job_id, fence, rest (ms), completion (msgpack)
-- Returns  a word for each run:
--          retrying  accepted, now or when the same came before
--          stale     the run is no longer held under this fence; nothing was written

local reply = {}
for i = 1, #ARGV, 4 do
  local id, fence = ARGV[i], ARGV[i + 1]
  local record, run = P .. ':j:' .. id, held_by(id, fence)
  local word = 'retrying'
  if run then
    end_attempt(run)
    call('HSET', record, 'state', 'retrying', 'rested', fence)
    call('ZADD', P .. ':retries', int(now + tonumber(ARGV[i + 2])), id)
    publish(ARGV[i + 3])
  elseif call('HGET', record, 'rested') ~= fence then
    word = 'stale'  -- else the reply to the first sending was lost
  end
  reply[#reply + 1] = word
end
save()
return reply
