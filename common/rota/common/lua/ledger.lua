-- ledger: what became of each occurrence of a job. Put behind lib.lua by rota.common.scripts.
--
-- Per job a list, newest first, of msgpack arrays; rota.common.ledger tells what is in them. Of it
-- LEDGER_RUNS entries count, and a few SPARE ones, so that not every end has to cut it. It goes
-- LEDGER_MS after the last entry, or up to a day later, so that not every end has to set that.

local SPARE, DAY = 5, 86400000
local TODAY = math.floor(now / DAY)

local function ledger_of(ref)
  return P .. ':l:' .. ref
end

-- Put an entry in front. `written` is when one was last, as far as that is known, ms: each day the
-- first one, and the first of all, sets the list's time to live.
local function keep_entry(ref, entry, written)
  local list = ledger_of(ref)
  local length = call('LPUSH', list, cmsgpack.pack(entry))
  if length > LEDGER_RUNS + SPARE then call('LTRIM', list, 0, LEDGER_RUNS - 1) end
  if length == 1 or not written or math.floor(written / DAY) ~= TODAY then
    call('PEXPIRE', list, int(LEDGER_MS + DAY))
  end
end

-- The beginning of the first line of a text, at most so many bytes, without half a character.
local function brief(text, most)
  local line = string.match(text or '', '^[^\r\n]*')
  while string.find(string.sub(line, most + 1, most + 1), '[\128-\191]') do most = most - 1 end
  return string.sub(line, 1, most)
end

-- What a completion tells; nothing if it is none.
local function told(completion)
  local good, report = pcall(cmsgpack.unpack, completion)
  return good and type(report) == 'table' and report or {}
end

-- The last errors of a run, each an array of kind and message, and one more, if it is one.
local function one_more(errors, failure)
  if type(failure) == 'table' then
    errors[#errors + 1] = {brief(failure.kind, 60), brief(failure.message, 100)}
    if #errors > 3 then table.remove(errors, 1) end
  end
  return errors
end

-- Keep in the run's record what its entry will tell of an attempt that did not end it.
local function note_attempt(run, failure)
  local past = run.past and cmsgpack.unpack(run.past) or {run.at, {}, 0}
  past[1], past[2] = past[1] > 0 and past[1] or run.at, one_more(past[2], failure)
  call('HSET', P .. ':j:' .. run.id, 'past', cmsgpack.pack(past))
end

-- What an entry tells beside the usual, of a run that was triggered, or not as simple as most are.
local function particulars(run, outcome, completion)
  local report = (outcome == 'dead' or not run.attempt) and told(completion) or {}
  local past = run.past and cmsgpack.unpack(run.past) or {0, {}, 0}
  local errors = one_more(past[2], outcome == 'dead' and report.error)
  run.attempt, run.worker = run.attempt or report.attempt, run.worker or report.worker
  return string.match(run.id, ':(.*)$') or '', past[1], errors, past[3]
end

-- Note how a run ended. Called once for each end, before its record goes. `written` is when the
-- job's last run ended, ms.
local function note_end(run, ref, outcome, completion, written)
  if not run.queued then
    local r = call('HMGET', P .. ':j:' .. run.id, 'due', 'queued', 'past')
    run.due, run.queued, run.past = unpack(r)
  end
  local name, first, errors, replays
  if run.past or (run.due or '0') == '0' or outcome == 'dead' or not run.attempt then
    name, first, errors, replays = particulars(run, outcome, completion)
  end
  local due, at = tonumber(run.due or 0), run.at or now
  keep_entry(ref, {1, outcome == 'succeeded' and '' or outcome, due, run.queued or '', at - due,
                   run.at and now - at or -1, run.attempt or 0, run.worker or '', name, first,
                   errors, replays}, written)
end

-- Note that a run is gone which was accepted, and why; `way` is the run that was in the way.
local function note_gone(id, outcome, way)
  local ref, name = string.match(id, '^([^:]+):(.*)$')
  if not ref then return end
  way = string.match(way, ':(.*)$') or ''
  keep_entry(ref, {1, outcome, 0, '', now, -1, 0, '', name, 0, {}, 0, way})
end

-- Take back what was noted of a run that seemed to be gone: a worker has brought it back.
local function unnote_gone(id)
  local ref, name = string.match(id, '^([^:]+):(.*)$')
  local gone = {lost = true, skipped = true}
  for _, packed in ipairs(ref and call('LRANGE', ledger_of(ref), 0, -1) or {}) do
    local entry = cmsgpack.unpack(packed)
    if entry[1] == 1 and gone[entry[2]] and entry[9] == name then
      call('LREM', ledger_of(ref), 1, packed)
    end
  end
end

-- Whether a run that was due at `due` has an entry; if `ended`, one that tells how it ended.
local function is_noted(id, due, ended)
  local ref, name = string.match(id, '^([^:]+):(.*)$')
  for _, packed in ipairs(ref and call('LRANGE', ledger_of(ref), 0, -1) or {}) do
    local e = cmsgpack.unpack(packed)
    local known = e[9] and e[9] ~= ''
    local same = e[1] == 1 and (e[9] == name or (not known and due > 0 and e[3] == due))
    if same and not (ended and (e[2] == 'lost' or e[2] == 'skipped')) then return true end
  end
  return false
end

-- Note that the occurrences of a job from `from` to `to` were not run, and move its cursor there.
-- Those that follow others with the same outcome are added to them.
local function note_stretch(ref, outcome, detail, from, to, count, way)
  local last = call('LINDEX', ledger_of(ref), 0)
  local entry = last and cmsgpack.unpack(last) or {}
  local same = entry[1] == 2 and entry[2] == outcome and entry[6] == detail and entry[7] == way
  local cursor = tonumber(call('HGET', P .. ':s:' .. ref, 'due') or 0)
  if same and entry[3] + entry[4] == cursor then
    local sum = (entry[5] == 0 or count == 0) and 0 or entry[5] + count
    entry[4], entry[5], entry[8] = to - entry[3], sum, now - to
    call('LSET', ledger_of(ref), 0, cmsgpack.pack(entry))
    call('PEXPIRE', ledger_of(ref), int(LEDGER_MS + DAY))
  else
    keep_entry(ref, {2, outcome, from, to - from, count, detail, way, now - to})
  end
end

