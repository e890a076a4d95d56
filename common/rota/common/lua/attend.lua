-- attend: no move of a run. Tells how calls have ended; the replies of others go to an inbox, too.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  inbox
-- ARGV[3]  how long a reply is to be kept at least, ms
-- ARGV     from 4 on, one value for each call: job_id
-- Returns  the epoch; ms until the gate closes, else 0; then three values for each call: word,
--          completion and result, both msgpack or empty
--          over     it has ended so
--          waiting  it is in flight
--          unknown  there is no such call, or no longer; while the gate is open it may come back

for i = 4, #ARGV, 1 do
  local record = P .. ':j:' .. ARGV[i]
  local word = 'unknown'
  local r = call('HMGET', record, 'state', 'completion', 'result', 'keep')
  if not is_call(ARGV[i]) then
    word = 'unknown'
  elseif in_flight(ARGV[i]) then
    word = 'waiting'
    local inboxes = hearers(ARGV[i], ARGV[2])
    inboxes[#inboxes + 1] = ARGV[2]
    hear(ARGV[i], inboxes)
    call('HSET', record, 'keep', int(math.max(tonumber(r[4]) or 0, ARGV[3])))
  elseif r[1] then
    word = 'over'
  end
  answer(word, word == 'over' and r[2] or '', word == 'over' and r[3] or '')
end
return reply
