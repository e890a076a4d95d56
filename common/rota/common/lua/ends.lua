-- ends: a worker reports that a run is over. Put in front of complete.lua and turn.lua by
-- rota.common.scripts.

-- Whether the report is accepted, now or when the same one came before: then its reply was lost.
local function ended(id, held, due, outcome, completion, result, waited)
  local run, beside = held_by(id, held), false
  if run then
    end_attempt(run, waited)
  else
    beside = told(completion).beside
    run = wait > 0 and restored(id, held, due, beside)
  end
  if run then
    finish(run, outcome, completion, result)
    return true
  end
  return known_end(id, held) or (beside and not is_call(id) and is_noted(id, due, true))
end
