-- turn: complete and claim in one, as a busy worker does both each time. Put in front of claim.lua by
-- rota.common.scripts.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none; 2 to 5 as in claim
-- ARGV     from 6 on, seven values for each run: job_id, fence, due (ms),
--          outcome (succeeded, dead or cancelled), completion (msgpack), result (msgpack or ''),
--          waited (ms in the worker before the attempt began)
-- Returns  the epoch; ms until the gate closes, else 0; then a word for each run that ended, and
--          behind them what claim returns
--          completed  as in complete
--          stale      the same

for i = 6, #ARGV, 7 do
  local word = 'completed'
  if not ended(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3], ARGV[i + 4], ARGV[i + 5],
               tonumber(ARGV[i + 6])) then
    word = 'stale'
  end
  answer(word)
end
