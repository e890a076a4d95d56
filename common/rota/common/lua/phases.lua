-- phases: what becomes of a run when an attempt, or its last task, is over. Put behind tasks.lua by
-- rota.common.scripts.
--
-- A run passes the phases that its request tells of, one after the other; its record holds the number
-- of the one that it is in, from 1 on, and its body does so behind the first. If one fails for good
-- and there is a handler for that, this is its last phase, and then the run is dead.

local P, call, now = P, call, now  -- close by: a function is made faster, at each call of a script

local NAMED = 10  -- tasks that a handler for failures is told of
local USUAL_ATTEMPTS = 3  -- where a request does not tell, see `Retry`

-- The request within a body, and how much of the body that is: before the number of a phase behind
-- the first and, where that is the handler for failures, before what failed.
local function base_of(body)
  local kind, past = string.byte(body), nil
  if kind == 146 then past = #body - 1 end
  if kind == 148 then past = select(2, pcall(cmsgpack.unpack_one, body, 1)) end
  if type(past) ~= 'number' or past < 1 then return body, #body end
  return string.sub(body, 2, past), past
end

-- What is called in phase `k`, behind the first; without `k` in the one for failures, which is the
-- last. Returns number, handler and attempts; nothing if there is none, or the body is not sound.
local function called_in(body, k)
  local good, request = pcall(cmsgpack.unpack, base_of(body or ''))
  if not good or type(request) ~= 'table' then return nil end
  local phases = type(request.phases) == 'table' and request.phases or {}
  local phase = k and phases[k - 1]
  if not k then phase, k = request.on_failure, 2 + #phases end
  local sound = type(phase) == 'table' and type(phase.handler) == 'string' and
                type(phase.retry) == 'table' and tonumber(phase.retry.attempts)
  if sound then return k, phase.handler, phase.retry.attempts end
end

local function phase_of(body)
  local _, past = base_of(body)
  return string.byte(body, past + 1) or 1
end

-- What failed, for the handler that is called for it: see `PhaseFailure`.
local function what_failed(run, f, handler, completion)
  local error = told(completion).error
  error = type(error) == 'table' and error or {}
  return cmsgpack.pack({run.phase or 1, handler, error.kind or '', error.message or '',
                        f and f.planned or 0, f and f.dead or 0, f and failures(f, NAMED) or {}})
end

-- Queue the run for a phase, given as its number, handler and attempts; and what failed, if that is
-- why.
local function step(run, k, handler, attempts, failed)
  local record = P .. ':j:' .. run.id
  if run.at then note_attempt(run) end  -- its entry in the ledger tells when the first one began
  local base = base_of(call('HGET', record, 'body'))
  call('HDEL', record, 'cancel', 'verdict', 'report')
  call('HSET', record, 'state', 'queued', 'phase', k, 'handler', handler, 'attempt', 0,
       'attempts', attempts, 'body', failed and '\148' .. base .. string.char(k) .. '\192' .. failed
                                     or '\146' .. base .. string.char(k))
  push(run.id, tenant(run.tenant), 'RPUSH', handler, run.priority)
end

-- Queue the run for the phase that it is in once more.
local function begin_anew(run)
  local record = P .. ':j:' .. run.id
  call('HSET', record, 'state', 'queued')
  push(run.id, tenant(run.tenant), 'LPUSH', call('HGET', record, 'handler'), run.priority)
end

-- Whether the run goes on though an attempt ended it: its tasks have to end before, or it failed and
-- has a handler for that. Else returns false, and how it ends.
function far.goes_on(run, outcome, completion)
  local record, f = P .. ':j:' .. run.id, run.phase and fan_of(run.id)
  if f and alive(f) > 0 then
    call('HSET', record, 'state', 'fanned', 'verdict', outcome, 'report', completion)
    f.state = 'fanned'
    stop_tasks(f)
    if alive(f) > 0 then
      call('SADD', P .. ':fanned', run.id)
      return true
    end
  end
  local r = call('HMGET', record, 'failure', 'body', 'handler', 'attempts')
  if r[1] and outcome ~= 'cancelled' then
    outcome, completion = 'dead', r[1]  -- that was the handler for it
    run.attempt = told(completion).attempt
  elseif outcome == 'dead' then
    local last, handler, attempts = called_in(r[2])
    if last then
      call('HSET', record, 'failure', completion,
           'failed', cmsgpack.pack({run.phase or 1, r[3], r[4]}))
      step(run, last, handler, attempts, what_failed(run, f, r[3], completion))
      return true
    end
  end
  if outcome ~= 'dead' then
    drop_fan(run.id)
  elseif f or r[1] then
    for _, part in ipairs(PARTS) do call('PEXPIRE', P .. part .. run.id, int(DEAD_TTL)) end
  end
  return false, outcome, completion
end

-- The run's phase is over: queue it for the next one, or end it.
local function pass(run, completion, result)
  local r = call('HMGET', P .. ':j:' .. run.id, 'body', 'failure')
  local k, handler, attempts = called_in(r[1], (run.phase or 1) + 1)
  if not k or r[2] then
    finish(run, 'succeeded', completion, result)
  elseif run.cancel then
    cancelled(run)
  else
    drop_fan(run.id)
    step(run, k, handler, attempts)
  end
end

-- Note how long a task took, and what it was; where that is to be learnt.
local function take_time(f, run)
  if not f.pace or not run.at then return end
  call('HINCRBY', f.key, 'spent', int(now - run.at))
  call('HINCRBYFLOAT', f.key, 'sized', call('HGET', P .. ':j:' .. run.id, 'size') or 0)
end

-- Keep with the job how long its tasks take for each unit of size: half of it as before.
local function learn_pace(f)
  local slot, name = slot_of(f.root), 'pace ' .. int(f.phase)
  local r, old = call('HMGET', f.key, 'spent', 'sized'), call('HGET', slot, name)
  local pace = tonumber(r[2] or 0) > 0 and r[1] / r[2] or 0
  if old then pace = (pace + old) / 2 end
  if pace > 0 then call('HSET', slot, name, string.format('%.9g', pace)) end
end

-- Take the run further if its last task is over.
local function settle(f)
  local ended = f.succeeded + f.dead + f.cancelled
  if f.state ~= 'fanned' or (f.stop and alive(f) > 0) or (not f.stop and ended < f.planned) then
    return
  end
  local run = run_in('fanned', f.root)
  call('SREM', P .. ':fanned', f.root)
  local r = call('HMGET', P .. ':j:' .. f.root, 'verdict', 'report')
  if f.pace then learn_pace(f) end
  fence = fence + 1  -- of our own: the planner's completion is not the one that ends the run
  run.fence = int(fence)
  if run.cancel or r[1] == 'cancelled' then
    cancelled(run)
  elseif r[1] then
    finish(run, r[1], r[2], '')
  elseif f.dead > 0 then
    local text = f.dead .. ' of ' .. int(f.planned) .. ' tasks are dead'
    finish(run, 'dead', cmsgpack.pack(report_on(run, 'dead', 'TasksFailed', text)), '')
  else
    local report = report_on(run, 'succeeded')
    report.error = nil
    pass(run, cmsgpack.pack(report), cmsgpack.pack({tasks = f.planned, cancelled = f.cancelled}))
  end
end

-- Count a task that is over, once. One that was cancelled as others had failed goes back.
local function count_end(f, run, number, outcome, completion)
  local bits = P .. (outcome == 'dead' and ':died:' or ':over:') .. f.root
  call('SREM', P .. ':live:' .. f.root, number)
  if outcome == 'cancelled' and f.stop then
    put_back(f, run.id, number, ':todo:')
  elseif not is_over(f, number) then
    call('SETBIT', bits, number, 1)
    f[outcome] = call('HINCRBY', f.key, outcome, 1)
    if outcome == 'succeeded' then take_time(f, run) end
    if outcome == 'dead' then keep_failure(f, run, number, completion) end
  end
end

-- End a task: its run counts it, and goes on if it was the last one.
function far.end_task(run, outcome, completion)
  local f, number = fan_for(run.id)
  if f then count_end(f, run, number, outcome, completion) end
  call('DEL', P .. ':j:' .. run.id)
  if not f then return end
  if outcome == 'dead' and f.at_once and not f.stop then stop_tasks(f) end
  if f.short > 0 then
    f.short = call('HINCRBY', f.key, 'short', -1)
    feed(f, 1)
  end
  settle(f)
end

-- Let the run, whose planner has planned all, wait for its tasks.
local function fan_out(f)
  call('HSET', P .. ':j:' .. f.root, 'state', 'fanned')
  call('SADD', P .. ':fanned', f.root)
  call('HSET', f.key, 'whole', 1)
  f.state = 'fanned'
  feed(f, WINDOW - alive(f))
  settle(f)
end

-- End a run that waits for its tasks: none begins any more, and the last that is running ends it.
-- Returns how many these are.
local function stop_fan(id)
  call('HSETNX', P .. ':j:' .. id, 'cancel', 1)
  local f = fan_of(id)
  stop_tasks(f)
  settle(f)
  return alive(f)
end

-- Bring a dead run back to the phase in which it failed. Tells whether it waits for tasks now.
local function resume(id)
  local record = P .. ':j:' .. id
  local r = call('HMGET', record, 'failed', 'body', 'phase')
  if r[1] then
    local k, handler, attempts = unpack(cmsgpack.unpack(r[1]))
    local base = base_of(r[2])
    call('HSET', record, 'phase', k, 'handler', handler, 'attempts', attempts,
         'body', k > 1 and '\146' .. base .. string.char(k) or base)
    call('HDEL', record, 'failed', 'failure')
  end
  for _, part in ipairs(PARTS) do call('PERSIST', P .. part .. id) end
  local todo, again, f = P .. ':todo:' .. id, P .. ':again:' .. id, fan_of(id)
  if not f or not f.whole then return false end
  call('HSET', record, 'at', NOW)  -- what goes on at once, with its tasks, begins now
  f.dead, f.stop = f.dead - call('ZCARD', again), false
  call('HSET', f.key, 'dead', f.dead, 'short', 0)
  call('ZUNIONSTORE', todo, 2, todo, again)
  call('DEL', again, P .. ':died:' .. id, P .. ':bad:' .. id)
  fan_out(f)
  return true
end

-- Note again why a run failed whose handler for that is under way, as the body tells it.
local function retell(id, body)
  local base, past = base_of(body)
  local failed, request = told(string.sub(body, past + 3)), told(base)
  if string.byte(body) ~= 148 or not failed[4] then return end
  local phase = failed[1] > 1 and request.phases[failed[1] - 1] or request
  local attempts = phase.retry and phase.retry.attempts or USUAL_ATTEMPTS
  local report = report_on({id = id, tenant = request.tenant, job = request.job, attempt = 0,
                            worker = ''}, 'dead', failed[3], failed[4])
  call('HSET', P .. ':j:' .. id, 'failure', cmsgpack.pack(report),
       'failed', cmsgpack.pack({failed[1], failed[2], attempts}))
  call('HSETNX', P .. ':j:' .. id, 'handler', failed[2])
end

-- Bring a run back into its phase, as a worker knows it; or a task, which is told, to its run.
local function rejoined(id, body)
  local root, _, number = parts_of(id)
  if root then return call('SADD', P .. ':live:' .. root, number) end
  local phase, f = phase_of(body), fan_of(id)
  if f and f.phase ~= phase then abandon(id) end
  if phase > 1 then call('HSET', P .. ':j:' .. id, 'phase', phase) end
  retell(id, body)
end
