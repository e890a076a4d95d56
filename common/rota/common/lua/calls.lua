-- calls: runs that somebody asked for and waits for. Put behind ledger.lua by rota.common.scripts.
--
-- A call is known as TENANT/@HANDLER:NAME. Its job is no job of the configuration: runs of it may be
-- in flight beside each other, and nobody but the one who asked hears of their ends. Its record has
-- `latest`, when it must have begun (ms), and `reply`, the inboxes that its reply goes to.

local CALLS = {
  inbox_ttl = 60000,  -- ms behind the last reply: who does not fetch them looks at the records
  inbox_whole = 1000,  -- replies in an inbox; of more only the job_id is told
  inbox_most = 100000,
  spare = 60000,  -- ms for an attempt to end, and to be taken back from its worker
  forgone = 'forgone',  -- what `cancel` is in the record of one that nobody waits for any more
  most_hearers = 4,  -- inboxes that a reply goes to; the first are of callers that died
}

local function is_call(id)
  return string.find(id, '/@', 1, true)
end

-- Set until when the call may begin, and when its record goes if it does not.
local function limit(record, timeout, keep)
  call('HSET', record, 'latest', int(now + timeout))
  call('PEXPIRE', record, int(2 * timeout + keep + CALLS.spare))
end

-- Somebody else makes the same call: until it begins, it has the time of who has most.
local function prolong(record, timeout, keep)
  local r = call('HMGET', record, 'latest', 'state')
  if not r[1] or (r[2] ~= 'queued' and r[2] ~= 'held' and r[2] ~= 'retrying') then return end
  if timeout == 0 then
    call('HDEL', record, 'latest')
    call('PERSIST', record)
  elseif now + timeout > tonumber(r[1]) then
    limit(record, timeout, keep)
  end
end

-- How long until a call's time is over, ms; 0 if it has no limit.
local function left(latest)
  return latest and math.max(1, latest - now) or 0
end

-- Drop pointers to records that have gone from the front of a list, at most two for each that comes:
-- where nobody claims, or serves a handler, the records of calls go, and their list must not grow.
local function drop_gone(list)
  for _ = 1, 2 do
    local id = call('LINDEX', list, 0)
    if call('EXISTS', P .. ':j:' .. id) == 1 then return end
    call('LPOP', list)
  end
end

-- The inboxes that the reply goes to, without one.
local function hearers(id, but)
  local found = {}
  for inbox in string.gmatch(call('HGET', P .. ':j:' .. id, 'reply') or '', '[^ ]+') do
    if inbox ~= but then found[#found + 1] = inbox end
  end
  return found
end

local function hear(id, inboxes)
  while #inboxes > CALLS.most_hearers do table.remove(inboxes, 1) end
  call('HSET', P .. ':j:' .. id, 'reply', table.concat(inboxes, ' '))
end

-- Whether an end says only that the time of who made the call was over: then it is none for who makes
-- it again. No handler's own failure is one, whatever its name: a failure is dead, not cancelled.
local function is_void(record)
  local r = call('HMGET', record, 'state', 'completion')
  if r[1] ~= 'cancelled' then return false end
  local failure = told(r[2]).error
  return type(failure) == 'table' and failure.kind == 'Expired'
end

-- Forget a void end. Its fence stays: what a worker still tells of that run is too old.
local function forget_end(record)
  local held = call('HGET', record, 'fence')
  if held then
    call('DEL', record)
    call('HSET', record, 'fence', held)
  end
end

-- Return what is told of a call that ended as the last of those who waited for it gave up; else nil.
local function end_of_forgone(run, outcome, completion)
  if outcome ~= 'cancelled' or run.cancel ~= CALLS.forgone then return nil end
  local report = told(completion)
  report.error = {kind = 'Expired', message = 'nobody waited for it any more'}
  return cmsgpack.pack(report)
end

-- Put the reply into the inboxes of those who wait for it; tells whether anybody does.
local function send_reply(id, completion, result)
  local inboxes = hearers(id)
  for _, inbox in ipairs(inboxes) do
    local list = P .. ':in:' .. inbox
    local waiting = call('LLEN', list) / 3
    local whole = waiting < CALLS.inbox_whole
    if waiting < CALLS.inbox_most then
      call('RPUSH', list, id, whole and completion or '', whole and result or '')
    end
    call('PEXPIRE', list, CALLS.inbox_ttl)
  end
  return #inboxes > 0
end
