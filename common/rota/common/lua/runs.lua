-- runs: the records of runs. Put behind lib.lua, fair.lua and ledger.lua by rota.common.scripts.

local P, call, now = P, call, now  -- close by: a function is made faster, at each call of a script
local far = {}  -- what only tasks, phases and failures need: see tasks.lua, phases.lua

-- Whether the id is one of a task, a part of another run: RUN#PHASE.NUMBER.
local function is_task(id)
  return string.find(id, '#', 1, true)
end

-- Return the run's fields if it is in `state` and `fence`, if given, is that of its last claim.
local function run_in(state, id, fence)
  local r = call('HMGET', P .. ':j:' .. id, 'state', 'fence', 'at', 'charged', 'attempt', 'worker',
                 'keep', 'handler', 'due', 'queued', 'past', 'units', 'phase', 'priority',
                 'attempts', 'cancel', 'latest')
  if r[1] ~= state or (fence and r[2] ~= fence) then return nil end
  local tenant_name, job = string.match(id, '^([^/]+)/([^:]+):')
  return {id = id, fence = r[2], tenant = tenant_name, job = job, at = tonumber(r[3]),
          charged = tonumber(r[4]), attempt = tonumber(r[5]), worker = r[6],
          keep = tonumber(r[7]) or 0, handler = r[8], due = r[9], queued = r[10], past = r[11],
          units = r[12], phase = tonumber(r[13]), claimed = r[3], priority = r[14],
          attempts = tonumber(r[15]), cancel = r[16], latest = tonumber(r[17])}
end

-- Return the run's fields if `fence` is the one under which it is running, else nil.
local function held_by(id, fence)
  return run_in('running', id, fence)
end

-- Let `t` pay for a run that starts now, under `held` and the worker's lease.
local function begin_attempt(id, t, held, worker, lease, handler, attempt)
  local est = math.ceil(t.est)  -- whole ms, so that all sums are exact
  make_busy(t)
  call('HSET', P .. ':j:' .. id, 'state', 'running', 'fence', held, 'worker', worker, 'at', NOW,
       'charged', est, 'attempt', attempt)
  put(P .. ':leases', id, int(now + lease))
  charge(t, est)
  spend(t)
  t.owed = t.owed + est + now - SINCE
  t.running = t.running + 1
  count(handler, 1)
end

-- End the attempt: the lease goes, the tenant pays what the attempt really took. That is not for how
-- long the run waited in its worker, `waited` ms, until it had a place there.
local function end_attempt(run, waited)
  local t = tenant(run.tenant)
  local actual = math.max(0, now - run.at - (waited or 0))
  charge(t, actual - run.charged)
  t.owed = t.owed - run.charged - (run.at - SINCE)
  learn(t, actual)
  t.running = t.running - 1
  count(run.handler, -1)
  put(P .. ':leases', run.id, false)
  return t
end

-- Take the run out of wherever it waits or runs; pointers to it are hints and may stay.
local function withdraw(id)
  local run = held_by(id)
  if run then end_attempt(run) end
  call('ZREM', P .. ':retries', id)
end

local function slot_of(id)
  return P .. ':s:' .. (string.match(id, '^([^:]+):') or id)
end

local IN_FLIGHT = {queued = true, held = true, running = true, retrying = true, fanned = true}
local function in_flight(id)
  return IN_FLIGHT[call('HGET', P .. ':j:' .. id, 'state')]
end

-- Tell the worker that holds the run to end it, once: if the token gets lost, it hears with its next
-- renewal. `why` is 1 if somebody has asked for that, else CALLS.forgone.
local function call_off(run, why)
  local control = P .. ':ctl:' .. run.worker
  if call('HSETNX', P .. ':j:' .. run.id, 'cancel', why or 1) == 1 then
    call('RPUSH', control, run.fence .. ' ' .. run.id)
    call('PEXPIRE', control, CONTROL_TTL)
  end
end

-- Note a repair: for the caller, and for whoever counts them.
local function repaired(word, name)
  call('HINCRBY', P .. ':repairs', word, 1)
  answer(word, name)
end

-- Whether the store may have forgotten that `id` was claimed under `held`: the run has not ended,
-- and no later claim of it is known, nor a later end of its job. With `of_run`, a run that is in
-- flight is judged alone. `due`: when it was due, if other runs of its job may be in flight: then
-- while the gate is open their claims and ends tell nothing of this one.
local function forgotten(id, held, of_run, due)
  local r = call('HMGET', P .. ':j:' .. id, 'state', 'fence')
  local again = is_call(id) and is_void(P .. ':j:' .. id)  -- then it may have been made again
  if (r[1] == 'succeeded' or r[1] == 'dead' or r[1] == 'cancelled') and not again then return false end
  if r[2] and tonumber(r[2]) >= held then return false end
  if again then return true end
  if is_task(id) then return far.expects(id) end
  if r[1] and of_run then return true end
  local s = call('HMGET', slot_of(id), 'last', 'fence')
  if s[1] == id then return false end
  return tonumber(s[2] or 0) < held or (due and wait > 0 and not is_noted(id, due, true)) or false
end

-- Whether the worker that claimed `id` under `held` is to bring it back. While the gate is open that
-- is so for whatever nothing is known of.
local function may_be_lost(id, held)
  local unheard = wait > 0 and call('EXISTS', P .. ':j:' .. id) == 0
                  and call('HGET', slot_of(id), 'last') ~= id
  return unheard or forgotten(id, held)
end

-- Let a run wait for somebody who serves its handler.
local function set_aside(id, handler)
  local list = P .. ':hold:' .. handler
  call('HSET', P .. ':j:' .. id, 'state', 'held')
  call('RPUSH', list, id)
  drop_gone(list)
  call('SADD', P .. ':held', handler)
end

-- Note that the occurrence that was due at `due` was accepted; 0 for a run that stands for none.
local function advance_cursor(slot, due)
  if due > 0 and due > tonumber(call('HGET', slot, 'due') or 0) then
    call('HSET', slot, 'due', int(due))
  end
end

-- Let the job be busy with a run since `at`, ms; `cursor` is what the store has of it.
local function take_slot(slot, id, at, due, cursor)
  if due > tonumber(cursor or 0) then
    call('HSET', slot, 'run', id, 'at', at, 'due', int(due))
  else
    call('HSET', slot, 'run', id, 'at', at)
  end
end

-- How long until the first entry of a ZSET of times is due, in ms; -1 if there is none.
local function until_first(key)
  local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return first[2] and math.max(0, tonumber(first[2]) - now) or -1
end

-- How a job's runs fare, as fields of its slot: when one succeeded last, and how many in a row died
-- since then. One that was cancelled counts neither way.
local function fortune(slot, outcome, failures)
  if outcome == 'dead' then return 'failures', int((failures or 0) + 1), 'failed', NOW end
  if outcome == 'succeeded' then
    if failures then call('HDEL', slot, 'failures', 'failed') end
    return 'ok', NOW
  end
end

-- Tell who listens how an attempt of `run` ended, and for how long the run was queued: the latter is
-- told by what it follows from, as that costs the store less. `first` is told of a run that began
-- with an earlier attempt, or phase. Nobody listens for a task, or a call.
local function publish(run, completion)
  if is_task(run.id) or is_call(run.id) then return end
  local first = run.past and cmsgpack.unpack(run.past)[1] or 0
  local more = first > 0 and {'first', int(first)} or {}
  call('XADD', P .. ':done', 'MAXLEN', '~', DONE_CAP, '*', 'completion', completion, 'at', NOW,
       'queued', run.queued or '', 'claimed', run.claimed or '', unpack(more))
end

-- End the run: free the job's slot, tell who waits, keep what is to be kept. The slot's fence is
-- that of the job's last end; a completion that is taken again may be older.
local function finish(run, outcome, completion, result)
  if is_task(run.id) then return far.end_task(run, outcome, completion) end
  if run.phase or outcome == 'dead' then
    local more, verdict, report = far.goes_on(run, outcome, completion)
    if more then return end
    outcome, completion = verdict, report
  end
  completion = is_call(run.id) and end_of_forgone(run, outcome, completion) or completion
  local ref = run.tenant .. '/' .. run.job
  local record, slot = P .. ':j:' .. run.id, P .. ':s:' .. ref
  local s = call('HMGET', slot, 'run', 'fence', 'ended', 'failures')
  if s[1] == run.id then call('HDEL', slot, 'run') end
  if tonumber(s[2] or 0) < tonumber(run.fence) then
    call('HSET', slot, 'ended', NOW, 'outcome', outcome, 'last', run.id, 'fence', run.fence,
         fortune(slot, outcome, s[4]))
  end
  publish(run, completion)
  note_end(run, ref, run.word or outcome, completion, s[3])
  local ttl = run.keep
  local heard = is_call(run.id) and send_reply(run.id, completion, result)
  local letter = outcome == 'dead' and not heard  -- who waits for a call deals with its failure
  if letter then
    ttl = DEAD_TTL
    call('ZADD', P .. ':dead', now, run.id)
    call('ZREMRANGEBYSCORE', P .. ':dead', '-inf', int(now - DEAD_TTL))
    for _, old in ipairs(call('ZRANGE', P .. ':dead', 0, -DEAD_CAP - 1)) do
      call('ZREM', P .. ':dead', old)
      call('DEL', P .. ':j:' .. old)
    end
  end
  if ttl > 0 then
    -- There may be very many calls, and only their ends matter.
    if is_call(run.id) and not letter then call('DEL', record) end
    call('HSET', record, 'state', outcome, 'completion', completion, 'result', result)
    if is_call(run.id) then call('HSET', record, 'fence', run.fence) end  -- see `known_end`
    call('PEXPIRE', record, int(ttl))
  else
    call('DEL', record)
  end
end

-- Return what a completion says that no worker wrote.
local function report_on(run, outcome, kind, text)
  return {v = 1, job_id = run.id, tenant = run.tenant, job = run.job, attempt = run.attempt,
          worker = run.worker, took_ms = run.at and now - run.at or 0, outcome = outcome,
          error = {kind = kind, message = text}}
end

-- Make of what the store remembers of a run that ended, if anything, one that can be finished.
local function restored(id, held, due, beside)
  local name, job = string.match(id, '^([^/]+)/([^:]+):')
  if not name or not forgotten(id, tonumber(held), true, beside and due) then return nil end
  local record = P .. ':j:' .. id
  local r = call('HMGET', record, 'keep', 'phase', 'priority')
  local keep = r[1] or (due == 0 and KEEP or 0)
  withdraw(id)
  unnote_gone(id)
  advance_cursor(slot_of(id), due)
  spend(tenant(name))
  call('HSET', record, 'tenant', name, 'job', job, 'due', due)
  return {id = id, fence = held, tenant = name, job = job, keep = tonumber(keep),
          phase = tonumber(r[2]), priority = r[3]}
end

-- Whether a worker's report, under this fence, was accepted when it came before.
local function known_end(id, held)
  if is_task(id) then return far.task_over(id) end
  if is_call(id) then
    local r = call('HMGET', P .. ':j:' .. id, 'state', 'fence')
    return not IN_FLIGHT[r[1]] and r[2] == held
  end
  return call('HGET', slot_of(id), 'fence') == held
end

-- End the run as cancelled, where no worker reports that.
local function cancelled(run)
  local report = report_on(run, 'cancelled', 'Cancelled', 'cancelled while no handler ran')
  finish(run, 'cancelled', cmsgpack.pack(report), '')
end

-- Whether a call's time is over before it could begin; then it ends, under a fence of our own.
local function expired(id, latest)
  if not latest or now < tonumber(latest) then return false end
  local run = run_in('queued', id)
  fence = fence + 1
  run.fence, run.word, run.at, run.worker = int(fence), 'expired', nil, run.worker or ''
  local report = report_on(run, 'cancelled', 'Expired', 'its time was over before it could begin')
  finish(run, 'cancelled', cmsgpack.pack(report), '')
  return true
end
