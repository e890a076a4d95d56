-- lib: what the transitions share. Put in front of each script by rota.common.scripts.
--
-- Fair shares: a tenant pays for measured service. `v` is the group's virtual time in ms of service
-- per unit of weight; it advances while tenants are busy (queued or running). A tenant that becomes
-- busy starts at `v`, so nobody banks idle time and nobody owes for an idle fleet that he used.
-- At claim a tenant is charged an estimate, at renewal and completion the difference to the truth.

-- The gate. A server process that is not the one that we knew may have lost writes: it was
-- restarted, or it is a replica that was promoted. For GATE ms nothing is enqueued, claimed or
-- rescued, while live workers report again what they hold (renew, adopt) and what they completed
-- (complete). Each time the epoch rises, to the time in microseconds. A caller that knows an epoch
-- is a witness: the group had data then, even if the store has none.
-- GATE is what the caller asks for; the gate is open for the longest that anybody ever asked for,
-- counted from when it opened, even if we hear of that only later.

local P = KEYS[1]
local WAKE_CAP, DEAD_CAP, DEAD_TTL, DONE_CAP = 64, 10000, 7 * 86400000, 50000
local CONTROL_TTL = 60000  -- ms, for a token that its worker does not fetch
local KEEP = 3600000  -- ms, for a triggered run of which the store has lost how long to keep it
local call = redis.call

-- While a slot of a cluster moves, a node refuses keys that it does not have, in the middle of a
-- script, and keeps what the script had written. So touch one that never exists before all else.
local absent = redis.pcall('EXISTS', P .. ':absent')
if type(absent) == 'table' then return redis.error_reply('TRYAGAIN ' .. absent.err) end

local meta = call('HMGET', P, 'skew', 'v', 'v_at', 'running', 'weight', 'fence', 'server', 'gate',
                  'epoch', 'born', 'gate_ms', 'opened')
local clock = call('TIME')
-- `skew` is a door for tests: it moves this group's clock by that many milliseconds.
local now = clock[1] * 1000 + math.floor(clock[2] / 1000) + (tonumber(meta[1]) or 0)
local running, weight = tonumber(meta[4]) or 0, tonumber(meta[5]) or 0
local v, v_at = tonumber(meta[2]) or 0, tonumber(meta[3]) or now
local fence, gate = tonumber(meta[6]) or 0, tonumber(meta[8]) or 0
local epoch, born = tonumber(meta[9]) or 0, tonumber(meta[10]) or 0
local longest, opened = tonumber(meta[11]) or 0, tonumber(meta[12]) or 0
local pushed, tenants = 0, {}

if weight > 0 and now > v_at then
  v = v + (now - v_at) * running / weight
end

local function int(n)
  return string.format('%.0f', n)
end

-- Whether the caller knows better than the store: it has heard of an epoch that the store has
-- forgotten, or it knew the group before somebody without knowledge began it anew (`born`).
local function witnesses(known)
  return known > epoch or (known > 0 and known < born)
end

local function lengthen_gate()
  longest = GATE
  if opened > 0 then gate = math.max(gate, opened + GATE) end
  call('HSET', P, 'gate_ms', int(longest), 'gate', int(gate))
end

local function open_gate(known, info)
  local lost = meta[7] or witnesses(known)
  epoch = math.max(epoch + 1, known + 1, now * 1000 + clock[2] % 1000)
  if lost then opened, gate, born = now, now + longest, 0 else born = epoch end
  -- An hour ahead: above whatever a master that we lost sight of may still give out.
  fence = math.max(fence, (clock[1] + 3600) * 1000000 + clock[2])
  call('HSET', P, 'server', string.match(info, 'run_id:(%x+)'), 'gate', int(gate),
       'opened', int(opened), 'epoch', int(epoch), 'born', int(born), 'fence', int(fence))
end

if GATE > longest then lengthen_gate() end
do
  local info, known = call('INFO', 'server'), tonumber(ARGV[1])
  local same = meta[7] and string.find(info, 'run_id:' .. meta[7], 1, true)
  if not same or witnesses(known) then open_gate(known, info) end
end
local wait = math.max(0, gate - now)
local reply = {epoch, wait}

local function answer(...)
  for _, value in ipairs({...}) do reply[#reply + 1] = value end
end

local function tenant(name)
  local t = tenants[name]
  if not t then
    local h = call('HMGET', P .. ':t:' .. name, 'weight', 'running', 'vt', 'est', 'busy')
    t = {name = name, queue = P .. ':q:' .. name, weight = tonumber(h[1]) or 1,
         running = tonumber(h[2]) or 0, vt = tonumber(h[3]) or 0,
         est = tonumber(h[4]) or 100, busy = h[5] == '1'}
    tenants[name] = t
  end
  return t
end

local function charge(t, ms)
  t.vt = t.vt + ms / t.weight
end

local function make_busy(t)
  if not t.busy then
    t.busy, t.vt, weight = true, math.max(t.vt, v), weight + t.weight
  end
end

-- Put a pointer into the tenant's queue; `command` is RPUSH, or LPUSH for one that had its turn.
local function push(id, t, command)
  call(command, t.queue, id)
  make_busy(t)
  t.queued, pushed = true, pushed + 1
end

-- Write back what changed and wake one idle worker for each run that became claimable.
local function save()
  for name, t in pairs(tenants) do
    local queued = t.queued
    if queued == nil then queued = call('EXISTS', t.queue) == 1 end
    if t.busy and not queued and t.running == 0 then
      t.busy, weight = false, weight - t.weight
    end
    call('HSET', P .. ':t:' .. name, 'running', t.running, 'vt', t.vt, 'est', t.est,
         'busy', t.busy and 1 or 0)
    if queued then
      call('ZADD', P .. ':active', t.vt, name)
    else
      call('ZREM', P .. ':active', name)
    end
  end
  call('HSET', P, 'v', v, 'v_at', int(now), 'running', running, 'weight', weight,
       'fence', int(fence))
  if pushed > 0 then
    local room = WAKE_CAP - call('LLEN', P .. ':wake')
    for _ = 1, math.min(pushed, room) do call('RPUSH', P .. ':wake', '1') end
  end
end

-- Return the run's fields if `fence` is the one under which it is running, else nil.
local function held_by(id, fence)
  local r = call('HMGET', P .. ':j:' .. id, 'state', 'fence', 'tenant', 'job', 'at', 'charged',
                 'attempt', 'attempts', 'worker', 'keep', 'cancel')
  if r[1] ~= 'running' or (fence and r[2] ~= fence) then return nil end
  return {id = id, fence = r[2], tenant = r[3], job = r[4], at = tonumber(r[5]),
          charged = tonumber(r[6]), attempt = tonumber(r[7]), attempts = tonumber(r[8]),
          worker = r[9], keep = tonumber(r[10]) or 0, cancel = r[11]}
end

-- Let `t` pay for a run that starts now, under `held` and the worker's lease.
local function begin_attempt(id, t, held, worker, lease)
  make_busy(t)
  call('HSET', P .. ':j:' .. id, 'state', 'running', 'fence', int(held), 'worker', worker,
       'at', int(now), 'charged', t.est)
  call('ZADD', P .. ':leases', int(now + lease), id)
  charge(t, t.est)
  t.running, running = t.running + 1, running + 1
end

-- End the attempt: the lease goes, the tenant pays what the attempt really took.
local function end_attempt(run)
  local t = tenant(run.tenant)
  local actual = now - run.at
  charge(t, actual - run.charged)
  t.est = t.est + 0.2 * (actual - t.est)
  t.running, running = t.running - 1, running - 1
  call('ZREM', P .. ':leases', run.id)
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

-- Note a repair: for the caller, and for whoever counts them.
local function repaired(word, name)
  call('HINCRBY', P .. ':repairs', word, 1)
  answer(word, name)
end

-- Whether the store may have forgotten that `id` was claimed under `held`: the run has not ended,
-- and no later claim of it is known, nor a later end of its job. With `of_run`, a run that is in
-- flight is judged alone.
local function forgotten(id, held, of_run)
  local r = call('HMGET', P .. ':j:' .. id, 'state', 'fence')
  if r[1] == 'succeeded' or r[1] == 'dead' or r[1] == 'cancelled' then return false end
  if r[2] and tonumber(r[2]) >= held then return false end
  if r[1] and of_run then return true end
  local s = call('HMGET', slot_of(id), 'last', 'fence')
  return s[1] ~= id and tonumber(s[2] or 0) < held
end

-- Note that the occurrence that was due at `due` was accepted; 0 for a run that stands for none.
local function advance_cursor(slot, due)
  if due > 0 and due > tonumber(call('HGET', slot, 'due') or 0) then
    call('HSET', slot, 'due', int(due))
  end
end

-- How long until the first entry of a ZSET of times is due, in ms; -1 if there is none.
local function until_first(key)
  local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return first[2] and math.max(0, tonumber(first[2]) - now) or -1
end

local function publish(completion)
  call('XADD', P .. ':done', 'MAXLEN', '~', DONE_CAP, '*', 'completion', completion, 'at', int(now))
end

-- End the run: free the job's slot, tell who waits, keep what is to be kept. The slot's fence is
-- that of the job's last end; a completion that is taken again may be older.
local function finish(run, outcome, completion, result)
  local record, slot = P .. ':j:' .. run.id, P .. ':s:' .. run.tenant .. '/' .. run.job
  local s = call('HMGET', slot, 'run', 'fence')
  if s[1] == run.id then call('HDEL', slot, 'run') end
  if tonumber(s[2] or 0) < tonumber(run.fence) then
    call('HSET', slot, 'ended', int(now), 'outcome', outcome, 'last', run.id, 'fence', run.fence)
  end
  publish(completion)
  local ttl = run.keep
  if outcome == 'dead' then
    ttl = DEAD_TTL
    call('ZADD', P .. ':dead', now, run.id)
    call('ZREMRANGEBYSCORE', P .. ':dead', '-inf', int(now - DEAD_TTL))
    for _, old in ipairs(call('ZRANGE', P .. ':dead', 0, -DEAD_CAP - 1)) do
      call('ZREM', P .. ':dead', old)
      call('DEL', P .. ':j:' .. old)
    end
  end
  if ttl > 0 then
    call('HSET', record, 'state', outcome, 'completion', completion, 'result', result)
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

-- End the run as cancelled, where no worker reports that.
local function cancelled(run)
  local report = report_on(run, 'cancelled', 'Cancelled', 'cancelled while no handler ran')
  finish(run, 'cancelled', cmsgpack.pack(report), '')
end
