-- tasks: what a run fans out into. Put behind runs.lua by rota.common.scripts.
--
-- A run whose handler has planned tasks is `fanned` until the last of them is over: it holds no
-- lease, and its job's slot stays taken. A task is a run of its own, of the same tenant, known as
-- RUN#PHASE.NUMBER. It has no slot, and no entry in the ledger: its end is a bit, and a count in the
-- run's `f`. What was planned is in `todo`, the largest first; few are queued at a time, and each
-- that is claimed queues the next one. Whatever ends the last one takes the run further.

local P, call, now = P, call, now  -- close by: a function is made faster, at each call of a script

local WINDOW, MOST, TOLD = 32, 2000, 100  -- tasks queued at first; alive; failures kept to be told
local PARTS = {':f:', ':todo:', ':again:', ':live:', ':over:', ':died:', ':bad:'}
local fans = {}

local function parts_of(id)
  local root, phase, number = string.match(id, '^(.+)#(%d+)%.(%d+)$')
  return root, tonumber(phase), tonumber(number)
end

-- What a run has fanned out into in its phase, nil if nothing; `stop` if no task may begin any more.
local function fan_of(root)
  if fans[root] then return fans[root] end
  local key = P .. ':f:' .. root
  local h = call('HMGET', key, 'phase', 'planned', 'succeeded', 'dead', 'cancelled', 'handler',
                 'attempts', 'early', 'at_once', 'stagger', 'next', 'short', 'fence', 'whole',
                 'base', 'pace')
  local r = h[1] and call('HMGET', P .. ':j:' .. root, 'state', 'tenant', 'due', 'priority',
                          'cancel', 'verdict', 'job') or {}
  if not r[1] then return nil end
  local f = {root = root, key = key, phase = tonumber(h[1]), planned = tonumber(h[2]),
             succeeded = tonumber(h[3]), dead = tonumber(h[4]), cancelled = tonumber(h[5]),
             handler = h[6], attempts = h[7], early = h[8] == '1', at_once = h[9] == '1',
             stagger = tonumber(h[10]), next = tonumber(h[11]), short = tonumber(h[12]),
             fence = h[13], whole = h[14], base = tonumber(h[15]), pace = h[16], state = r[1], tenant = r[2], due = r[3],
             priority = r[4] or 'normal', job = r[7]}
  f.stop = r[5] or r[6] or (f.at_once and f.dead > 0)
  fans[root] = f
  return f
end

local function drop_fan(root)
  fans[root] = nil
  call('SREM', P .. ':fanned', root)
  for _, part in ipairs(PARTS) do call('UNLINK', P .. part .. root) end
end

-- The fan that a task belongs to, if its run still waits for it; else nil.
local function fan_for(id)
  local root, phase, number = parts_of(id)
  local f = root and fan_of(root)
  if not f or f.phase ~= phase or f.state == 'dead' then return end
  if number > f.base and number <= f.base + f.planned then return f, number end
end

local function is_over(f, number)
  return call('GETBIT', P .. ':over:' .. f.root, number) == 1 or
         call('GETBIT', P .. ':died:' .. f.root, number) == 1
end

-- Whether the store may have forgotten that the task was claimed.
function far.expects(id)
  local f, number = fan_for(id)
  return f and (f.early or f.state == 'fanned') and not is_over(f, number)
end

-- Whether the task has ended: its run has passed its phase, or is over, or knows.
function far.task_over(id)
  local root, phase = parts_of(id)
  local f, number = fan_for(id)
  if f then return is_over(f, number) end
  local now_in = tonumber(call('HGET', P .. ':j:' .. root, 'phase') or 0)
  return now_in > phase or call('HGET', slot_of(root), 'last') == root
end

local function queue_task(f, number, size, task)
  local id = f.root .. '#' .. f.phase .. '.' .. int(number)
  local at = now
  if f.stagger > 0 then
    at = math.max(now, f.next)
    f.next = at + f.stagger
    call('HSET', f.key, 'next', int(f.next))
  end
  f.request = f.request or call('HGET', f.key, 'request')
  call('HSET', P .. ':j:' .. id, 'state', at > now and 'retrying' or 'queued', 'tenant', f.tenant,
       'job', f.job, 'handler', f.handler, 'due', f.due, 'attempt', 0, 'attempts', f.attempts,
       'keep', 0, 'body', '\147' .. f.request .. string.char(f.phase) .. task,
       'priority', f.priority, 'queued', now - f.due .. '', 'size', size)
  if at > now then
    call('ZADD', P .. ':retries', int(at), id)
  else
    push(id, tenant(f.tenant), 'RPUSH', f.handler, f.priority)
  end
end

-- Queue the largest tasks that wait to be, up to `n`. What lost writes brought back is left out.
local function feed(f, n)
  while n > 0 and not f.stop do
    local first = call('ZPOPMIN', P .. ':todo:' .. f.root)
    if not first[1] then return end
    local number = tonumber(string.sub(first[1], 1, 8))
    if not is_over(f, number) and call('SADD', P .. ':live:' .. f.root, number) == 1 then
      queue_task(f, number, -first[2], string.sub(first[1], 9))
      n = n - 1
    end
  end
end

local function alive(f)
  return call('SCARD', P .. ':live:' .. f.root)
end

-- A task's turn has come: queue the next one instead, unless too many are alive. Tells whether its
-- run still waits for it; else what is left of it goes.
function far.in_turn(id, attempt)
  local f = fan_for(id)
  if not f then
    call('DEL', P .. ':j:' .. id)
  elseif attempt == '0' and alive(f) < MOST then
    feed(f, 1)
  elseif attempt == '0' then
    f.short = call('HINCRBY', f.key, 'short', 1)
  end
  return f
end

-- Put what the task's record tells of it into a plan, `:todo:` or `:again:`; return the task.
local function put_back(f, id, number, plan)
  local r = call('HMGET', P .. ':j:' .. id, 'body', 'size')
  if not r[1] then return end
  local task = string.sub(r[1], call('HSTRLEN', f.key, 'request') + 3)
  call('ZADD', P .. plan .. f.root, -(r[2] or 0), string.format('%08d', number) .. task)
  return task
end

-- Let no task begin any more: one that waits goes back into the plan, one that runs is cancelled.
local function stop_tasks(f)
  f.stop = true
  for _, number in ipairs(call('SMEMBERS', P .. ':live:' .. f.root)) do
    local id = f.root .. '#' .. f.phase .. '.' .. number
    local run = held_by(id)
    if run then
      call_off(run)
    else
      put_back(f, id, number, ':todo:')
      call('ZREM', P .. ':retries', id)
      call('SREM', P .. ':live:' .. f.root, number)
      call('DEL', P .. ':j:' .. id)
    end
  end
end

-- Give up what the run has fanned out into: it has got elsewhere, as a worker knows better. Tasks
-- that run are cancelled; no task is given their numbers again.
local function abandon(root)
  local f = fan_of(root)
  if f then stop_tasks(f) end
  if f and alive(f) > 0 then
    call('HSET', P .. ':j:' .. root, 'base', int(f.base + f.planned))
  end
  drop_fan(root)
end

local function keep_failure(f, run, number, completion)
  local task = put_back(f, run.id, number, ':again:')
  if call('HLEN', P .. ':bad:' .. f.root) < TOLD then
    local failure, key = one_more({}, told(completion).error)[1] or {'', ''}, told(task or '')[2]
    call('HSET', P .. ':bad:' .. f.root, number,
         cmsgpack.pack({failure[1], failure[2], run.attempt or 0, run.worker or '', now,
                        type(key) == 'string' and key or ''}))
  end
end

-- The first failures of tasks, at most `n`: arrays of job_id, key, kind and message.
local function failures(f, n)
  local numbers, found = call('HKEYS', P .. ':bad:' .. f.root), {}
  table.sort(numbers, function(a, b) return tonumber(a) < tonumber(b) end)
  for i = 1, math.min(n, #numbers) do
    local failure = cmsgpack.unpack(call('HGET', P .. ':bad:' .. f.root, numbers[i]))
    found[i] = {f.root .. '#' .. f.phase .. '.' .. numbers[i], failure[6] or '', failure[1],
                failure[2]}
  end
  return found
end
