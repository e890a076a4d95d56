-- forgo: no move of a run. Nobody waits for these calls any more: what has not begun never will, the
-- worker of what runs is told to end it.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  inbox of who does not wait any more
-- ARGV     from 3 on, one value for each call: job_id
-- Returns  the epoch; ms until the gate closes, else 0; then a word for each call:
--          forgone  it ends
--          wanted   somebody else waits for it by now; nothing was done
--          over     it had ended before, or is not known

for i = 3, #ARGV, 1 do
  local run = held_by(ARGV[i])
  local word = 'forgone'
  if call('HGET', P .. ':j:' .. ARGV[i], 'reply') ~= ARGV[2] then
    word = in_flight(ARGV[i]) and 'wanted' or 'over'
  elseif run then
    call_off(run)
  elseif in_flight(ARGV[i]) then
    call('HSET', P .. ':j:' .. ARGV[i], 'latest', 1)
  else
    word = 'over'
  end
  answer(word)
end
return reply
