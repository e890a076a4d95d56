-- forgo: Somebody waits for these calls no more. Where nobody else does, what has not begun never
-- will, the worker of what runs is told to end it, and no other task of what has planned some begins.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  inbox of who does not wait any more
-- ARGV     from 3 on, one value for each call: job_id
-- Returns  the epoch; ms until the gate closes, else 0; then a word for each call:
--          forgone  it ends
--          wanted   somebody else waits for it: it goes on
--          over     it had ended before, or is not known

for i = 3, #ARGV, 1 do
  local others = hearers(ARGV[i], ARGV[2])
  local word = 'forgone'
  if not in_flight(ARGV[i]) then
    word = 'over'
  elseif others[1] then
    word = 'wanted'
    hear(ARGV[i], others)
  else
    local run = held_by(ARGV[i])
    if run then
      call_off(run, CALLS.forgone)
    else
      call('HSET', P .. ':j:' .. ARGV[i], 'latest', 1)
    end
    if wait == 0 and run_in('fanned', ARGV[i]) then
      call('HSETNX', P .. ':j:' .. ARGV[i], 'cancel', CALLS.forgone)
      stop_fan(ARGV[i])
    end
  end
  answer(word)
end
save()
return reply
