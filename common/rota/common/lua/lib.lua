-- lib: what the transitions share. Put in front of each script by rota.common.scripts.
--
-- Fair shares: a tenant pays for measured service. `v` is the group's virtual time in ms of service
-- per unit of weight; it advances while tenants are busy (queued or running). A tenant that becomes
-- busy starts at `v`, so nobody banks idle time and nobody owes for an idle fleet that he used.
-- At claim a tenant is charged an estimate, at renewal and completion the difference to the truth.

local P = KEYS[1]
local WAKE_CAP, DEAD_CAP, DEAD_TTL, DONE_CAP = 64, 10000, 7 * 86400000, 50000
local call = redis.call

-- While a slot of a cluster moves, a node refuses keys that it does not have, in the middle of a
-- script, and keeps what the script had written. So touch one that never exists before all else.
local absent = redis.pcall('EXISTS', P .. ':absent')
if type(absent) == 'table' then return redis.error_reply('TRYAGAIN ' .. absent.err) end

local meta = call('HMGET', P, 'skew', 'v', 'v_at', 'running', 'weight', 'fence')
local clock = call('TIME')
-- `skew` is a door for tests: it moves this group's clock by that many milliseconds.
local now = clock[1] * 1000 + math.floor(clock[2] / 1000) + (tonumber(meta[1]) or 0)
local running, weight = tonumber(meta[4]) or 0, tonumber(meta[5]) or 0
local v, v_at = tonumber(meta[2]) or 0, tonumber(meta[3]) or now
local pushed, tenants = 0, {}

if weight > 0 and now > v_at then
  v = v + (now - v_at) * running / weight
end

local function int(n)
  return string.format('%.0f', n)
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

-- Put a pointer into the tenant's queue; `command` is RPUSH, or LPUSH for one that had its turn.
local function push(id, t, command)
  call(command, t.queue, id)
  if not t.busy then
    t.busy, t.vt, weight = true, math.max(t.vt, v), weight + t.weight
  end
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
  call('HSET', P, 'v', v, 'v_at', int(now), 'running', running, 'weight', weight)
  if pushed > 0 then
    local room = WAKE_CAP - call('LLEN', P .. ':wake')
    for _ = 1, math.min(pushed, room) do call('RPUSH', P .. ':wake', '1') end
  end
end

-- Return the run's fields if `fence` is the one under which it is running, else nil.
local function held_by(id, fence)
  local r = call('HMGET', P .. ':j:' .. id, 'state', 'fence', 'tenant', 'job', 'at', 'charged',
                 'attempt', 'attempts', 'worker', 'keep')
  if r[1] ~= 'running' or (fence and r[2] ~= fence) then return nil end
  return {id = id, fence = r[2], tenant = r[3], job = r[4], at = tonumber(r[5]),
          charged = tonumber(r[6]), attempt = tonumber(r[7]), attempts = tonumber(r[8]),
          worker = r[9], keep = tonumber(r[10]) or 0}
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

local function publish(completion)
  call('XADD', P .. ':done', 'MAXLEN', '~', DONE_CAP, '*', 'completion', completion, 'at', int(now))
end

-- End the run: free the job's slot, tell who waits, keep what is to be kept.
local function finish(run, outcome, completion, result)
  local record, slot = P .. ':j:' .. run.id, P .. ':s:' .. run.tenant .. '/' .. run.job
  if call('HGET', slot, 'run') == run.id then call('HDEL', slot, 'run') end
  call('HSET', slot, 'ended', int(now), 'outcome', outcome, 'last', run.id)
  publish(completion)
  local ttl = run.keep
  if outcome == 'dead' then
    ttl = DEAD_TTL
    call('ZADD', P .. ':dead', now, run.id)
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
