-- record: no move of a run. Notes occurrences that were not run, and why, and moves the cursors of
-- their jobs behind them: up to there every occurrence is accounted for.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  the term in which the caller leads the group; 0 for one that needs not lead
-- ARGV     from 3 on, seven values for each stretch:
--          TENANT/JOB, outcome, detail, from (due, ms), to (due, ms), count, way (job_id or none)
--          Nobody has counted them if count is 0. If from is 0, `way` is a run that may
--          be lost, and for which no cursor stands; to is when it was due.
-- Returns  the epoch; ms until the gate closes (then nothing was done), else 0; then two values for
--          each stretch, word and detail:
--          recorded  it is noted
--          past      all of it was accounted for before, or the run is not lost
--          partly    nothing was done: detail is the job's cursor, and only what is behind it is new
--          deposed   another scheduler leads the group in a later term; nothing was done

if wait > 0 then return reply end
local term = tonumber(ARGV[2])
local deposed = term > 0 and term < tonumber(call('HGET', P, 'term') or 0)

local function is_lost(ref, id, due)
  local s = call('HMGET', P .. ':s:' .. ref, 'run', 'last')
  if s[1] == id or s[2] == id or call('EXISTS', P .. ':j:' .. id) == 1 then return false end
  return not is_noted(id, due)
end

for i = 3, #ARGV, 7 do
  local ref, outcome, from, to = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
  local slot, way = P .. ':s:' .. ref, string.match(ARGV[i + 6], ':(.*)$') or ''
  local cursor = tonumber(call('HGET', slot, 'due') or 0)
  local word, detail = 'recorded', ''
  if deposed then
    word = 'deposed'
  elseif from == 0 then
    if is_lost(ref, ARGV[i + 6], to) then note_gone(ARGV[i + 6], outcome, '') else word = 'past' end
  elseif to <= cursor then
    word = 'past'
  elseif from <= cursor then
    word, detail = 'partly', int(cursor)
  else
    note_stretch(ref, outcome, ARGV[i + 2], from, to, tonumber(ARGV[i + 5]), way)
    call('HSET', slot, 'due', int(to))
  end
  answer(word, detail)
end
return reply
