-- enqueue: nothing -> queued. Accepts occurrences, at most once each, and never beside another run
-- of the job unless that is allowed.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  the term in which the caller leads the group; 0 for one that needs not lead
-- ARGV     from 3 on, eleven values for each run:
--          job_id, tenant, job, handler, due (ms), attempts, keep (ms), body (msgpack JobRequest),
--          priority (high, normal or low), overlap (allow: beside other runs of its job),
--          busy (since when the job has been busy without a break, ms; 0: from now on)
--          due is 0 for a run that somebody triggered: it stands for no occurrence; nor does that of a
--          backfill, whose due tells which of its runs it is, so that it takes each once, in order
-- Returns  the epoch; ms until the gate closes (then nothing was done), else 0; then two values for
--          each run, word and job_id:
--          queued     accepted
--          duplicate  this run is in flight already, as job_id
--          past       this occurrence, or a later one, was accepted before and is over; so was this
--                     triggered run, as long as it is kept; or its backfill is, or has had it
--          deposed    another scheduler leads the group in a later term; nothing was done
--          busy       the job's last run is not over; job_id is that run
--          shed       the tenant has as many queued runs as it may; this occurrence is over

if wait > 0 then return reply end
local term = tonumber(ARGV[2])
local others  -- tenants that have queued runs

local deposed = term > 0 and term < tonumber(call('HGET', P, 'term') or 0)
for i = 3, #ARGV, 11 do
  local id, due, beside = ARGV[i], tonumber(ARGV[i + 4]), ARGV[i + 9] == 'allow'
  local ref = ARGV[i + 1] .. '/' .. ARGV[i + 2]
  local slot, fill = P .. ':s:' .. ref, fill_of(ref, id, due)
  if fill ~= nil then due = 0 end
  local s = call('HMGET', slot, 'run', 'due', 'last')
  local there = s[1] and s[1] ~= id and call('EXISTS', P .. ':j:' .. s[1]) == 1
  local word, detail = 'queued', id
  if deposed then
    word, detail = 'deposed', ''
  elseif fill == false then
    word = 'past'
  elseif s[1] == id or ((beside or fill) and in_flight(id)) then
    word = 'duplicate'
  elseif there and not beside then
    word, detail = 'busy', s[1]
  elseif fill and in_flight(fill.last) then
    word, detail = 'busy', fill.last
  elseif s[3] == id or (fill and is_noted(id, 0, true)) or (due > 0 and s[2] and due <= tonumber(s[2])) then
    word = 'past'
  elseif due == 0 and call('EXISTS', P .. ':j:' .. id) == 1 then
    word = 'past'  -- a triggered run moves no cursor, but what is left of it tells
  elseif full(tenant(ARGV[i + 1])) then
    word = 'shed'
    if due > 0 then note_stretch(ref, 'shed', '', due, due, 1, '') end
    advance_cursor(slot, due)
  else
    if s[1] and not there then note_gone(s[1], 'lost', '') end  -- its record is
    others = others or call('ZCARD', P .. ':active')
    local ahead = push(id, tenant(ARGV[i + 1]), 'RPUSH', ARGV[i + 3], ARGV[i + 8])
    if ahead == 0 then others = others + 1 end
    local queue = (ahead > 0 or others > 1) and ' ' .. ahead .. ' ' .. others - 1 or ''
    call('HSET', P .. ':j:' .. id, 'state', 'queued', 'tenant', ARGV[i + 1], 'job', ARGV[i + 2],
         'handler', ARGV[i + 3], 'due', int(due), 'attempt', 0, 'attempts', ARGV[i + 5],
         'keep', ARGV[i + 6], 'body', ARGV[i + 7], 'priority', ARGV[i + 8],
         'queued', now - due .. queue)
    take_slot(slot, id, ARGV[i + 10] == '0' and NOW or ARGV[i + 10], due, s[2])
  end
  if fill then go_on(fill, id, word) end
  answer(word, detail)
end
save()
return reply
