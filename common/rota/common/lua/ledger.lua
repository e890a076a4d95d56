-- ledger: what became of each occurrence of a job. Put behind lib.lua by rota.common.scripts.
--
-- Per job a list, newest first, of msgpack arrays; rota.common.ledger tells what is in them. Of it
-- as many entries count as the group keeps, and a few SPARE ones, so that not every end has to cut
-- it. It goes so long after the last entry as the group says, or up to a day later, so that not
-- every end has to set that. LEDGER_RUNS and LEDGER_MS hold where the group says nothing.

local SPARE, DAY = 5, 86400000
local TODAY = math.floor(now / DAY)

local function ledger_of(ref)
  return P .. ':l:' .. ref
end

local function live_on(list)
  call('PEXPIRE', list, int((tonumber(meta[15]) or LEDGER_MS) + DAY))
end

-- Put an entry in front. `written` is when one was last, as far as that is known, ms: each day the
-- first one, and the first of all, sets the list's time to live.
local function keep_entry(ref, entry, written)
  local list = ledger_of(ref)
  local length = call('LPUSH', list, cmsgpack.pack(entry))
  local most = tonumber(meta[14]) or LEDGER_RUNS
  if length > most + SPARE then call('LTRIM', list, 0, most - 1) end
  if length == 1 or not written or math.floor(written / DAY) ~= TODAY then live_on(list) end
end

-- The beginning of the first line of a text, at most so many bytes, without half a character.
local function brief(text, most)
  local line = string.match(text or '', '^[^\r\n]*')
  while string.find(string.sub(line, most + 1, most + 1), '[\128-\191]') do most = most - 1 end
  return string.sub(line, 1, most)
end

-- What a worker packed, such as a completion; nothing if it is no table.
local function told(packed)
  local good, report = pcall(cmsgpack.unpack, packed)
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
  local report = (outcome ~= 'succeeded' or not run.attempt) and told(completion) or {}
  local past = run.past and cmsgpack.unpack(run.past) or {0, {}, 0}
  local late = type(report.error) == 'table' and report.error.kind == 'Expired'
  local errors = one_more(past[2], (outcome == 'dead' or late) and report.error)
  run.attempt, run.worker = run.attempt or report.attempt, run.worker or report.worker
  return string.match(run.id, ':(.*)$') or '', past[1], errors, past[3]
end

-- What an entry tells of units of work: of the first four kinds the seven values of a sum.
local function sums(packed)
  local found = {}
  for i, tally in ipairs(told(packed)) do
    if i <= 4 and type(tally) == 'table' then found[i] = {unpack(tally, 1, 7)} end
  end
  return found
end

-- The phase in which a run has failed, or was cancelled.
local function ended_in(run)
  local failed = call('HGET', P .. ':j:' .. run.id, 'failed')
  return failed and cmsgpack.unpack(failed)[1] or run.phase
end

-- Note how a run ended. Called once for each end, before its record goes. `written` is when the
-- job's last run ended, ms.
local function note_end(run, ref, outcome, completion, written)
  if not run.queued then
    local r = call('HMGET', P .. ':j:' .. run.id, 'due', 'queued', 'past', 'units')
    run.due, run.queued, run.past, run.units = r[1], r[2], r[3], r[4]
  end
  local name, first, errors, replays, way, units, phase
  if run.phase and outcome ~= 'succeeded' then phase = ended_in(run) end
  if run.past or (run.due or '0') == '0' or outcome == 'dead' or not run.attempt or run.units
     or phase then
    name, first, errors, replays = particulars(run, outcome, completion)
    if run.units or phase then way, units = '', sums(run.units or '') end
  end
  local due, at = tonumber(run.due or 0), run.at or now
  keep_entry(ref, {1, outcome == 'succeeded' and '' or outcome, due, run.queued or '', at - due,
                   run.at and now - at or -1, run.attempt or 0, run.worker or '', name, first,
                   errors, replays, way, units, phase}, written)
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
    live_on(ledger_of(ref))
  else
    keep_entry(ref, {2, outcome, from, to - from, count, detail, way, now - to})
  end
end

