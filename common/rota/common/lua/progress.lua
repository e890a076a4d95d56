-- progress: running -> running. Keeps how far a run is, and which of its units are committed.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV     from 2 on, five values for each run: job_id, fence,
--          asked (1 to hear which units were committed before, else 0),
--          progress (msgpack Mark, or ''), units (msgpack of Tally, or '')
-- Returns  the epoch; ms until the gate closes, else 0; then two values for each run, word and
--          what was asked for, else '':
--          noted    it is kept
--          unknown  the store has lost this claim: adopt it first
--          stale    the run is no longer held under this fence; nothing was written

-- The same note again, as its reply was lost, is no newer than it was.
local function keep(record, field, kept, value)
  if value ~= '' and value ~= kept then call('HSET', record, field, value, 'noted', NOW) end
end

for i = 2, #ARGV, 5 do
  local id, held = ARGV[i], ARGV[i + 1]
  local record = P .. ':j:' .. id
  local word, detail = 'stale', ''
  if held_by(id, held) then
    local r = call('HMGET', record, 'progress', 'units')
    keep(record, 'progress', r[1], ARGV[i + 3])
    keep(record, 'units', r[2], ARGV[i + 4])
    word = 'noted'
    if ARGV[i + 2] == '1' then detail = r[2] or '' end
  elseif may_be_lost(id, tonumber(held)) then
    word = 'unknown'
  end
  answer(word, detail)
end
return reply
