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

local NOW = int(now)

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
-- Returns how many it holds then.
local function push(id, t, command)
  local length = call(command, t.queue, id)
  make_busy(t)
  t.queued, pushed = true, pushed + 1
  return length
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

