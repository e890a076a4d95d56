-- fair: tenants, their shares and limits, and the queues that their runs wait in. Put behind lib.lua
-- by rota.common.scripts.
--
-- Fair shares: a tenant pays for measured service. `v` is the group's virtual time in us of service
-- per unit of weight; it advances while tenants are busy (queued or running). A tenant that becomes
-- busy starts at `v`, so nobody banks idle time and nobody owes for an idle fleet that he used.
-- At claim a tenant is charged an estimate, at renewal and completion the difference to the truth.
-- Virtual times are whole numbers: the store takes five times as long for a score with a fraction.
--
-- A ring holds, by their virtual time, the tenants that have queued runs and may start one. The main
-- ring is `active`. A handler with a limit has a ring and lists of its own: at its limit nobody
-- looks at those, so it holds up nobody. A tenant at its max_concurrency or over its rate is in no
-- ring but in `limited`, by the time when that is over, and costs no claim anything.

local P, call, now = P, call, now  -- close by: a function is made faster, at each call of a script

local SINCE = 1700000000000  -- times within sums count from here, to keep those exact

local running, weight = tonumber(meta[4]) or 0, tonumber(meta[5]) or 0
local v, v_at = tonumber(meta[2]) or 0, tonumber(meta[3]) or now
local pushed, tenants, begun = 0, {}, {}
local added, dropped = {}, {}  -- what is to be written into sorted sets, many members at once

local floor = math.floor
local function whole(us) return floor(us + 0.5) end

if weight > 0 and now > v_at then
  v = whole(v + (now - v_at) * 1000 * running / weight)
end

-- How much may run at a time, and runs: of the group under '', of handlers under their names. The
-- ring of a handler whose limit was removed drains under `most` 0, which is no limit.
local caps = {}

local function room(name)
  local cap = caps[name]
  return not cap or cap.most == 0 or cap.running < cap.most
end

local function set_cap(name, most, n)
  call('HSET', P .. ':caps', name, most)
  caps[name] = {most = most, running = n, full = caps[name] and caps[name].full}
end

if limited then
  local flat = call('HGETALL', P .. ':caps')
  for i = 1, #flat, 2 do
    local name = flat[i]
    local n = name == '' and running or call('HGET', P .. ':running', name)
    caps[name] = {most = tonumber(flat[i + 1]), running = tonumber(n) or 0}
    caps[name].full = not room(name)
  end
end

local function count(handler, by)
  running = running + by
  if caps[''] then caps[''].running = running end
  if caps[handler] then
    begun[handler], caps[handler].running = true, caps[handler].running + by
  end
end

-- When the tenant may start a run: over its rate later, at its max_concurrency nobody knows when.
local function free_at(t)
  if t.most > 0 and t.running >= t.most then return math.huge end
  return t.interval > 0 and t.tat - (t.burst - 1) * t.interval or 0
end

-- Its fields `limits` (most, interval, burst, backlog), `tat` and `queues` are absent mostly.
-- `used` is what it was charged in all, ms. Less `owed`, and with now - SINCE for each run that is
-- running, it is the service that the tenant got up to now, whatever its runs were charged so far.
local function tenant(name)
  local t = tenants[name]
  if not t then
    local key = P .. ':t:' .. name
    local h = call('HMGET', key, 'weight', 'running', 'vt', 'est', 'busy', 'owed', 'limits',
                   'queues', 'used')
    t = {name = name, key = key, weight = tonumber(h[1]) or 1, running = tonumber(h[2]) or 0,
         vt = tonumber(h[3]) or 0, est = tonumber(h[4]) or 100, busy = h[5] == '1',
         owed = tonumber(h[6]) or 0, most = 0, interval = 0, backlog = 0, tat = 0, limits = h[7],
         queues = h[8] or '', used = tonumber(h[9]) or 0, rings = {}, pushed = 0}
    if t.limits then
      local most, interval, burst, backlog = string.match(t.limits, '(%S+) (%S+) (%S+) (%S+)')
      t.most, t.interval, t.burst = tonumber(most), tonumber(interval), tonumber(burst)
      t.backlog, t.tat = tonumber(backlog), tonumber(call('HGET', key, 'tat')) or 0
    end
    t.before = h[2] and {t.running, t.used, t.owed, t.vt, t.busy} or {}
    if t.queues ~= '' then
      for queue in string.gmatch(t.queues, '[^ ]+') do
        if queue == '^' then t.lanes = true else t.rings[queue] = true end
      end
    end
    tenants[name] = t
  end
  return t
end

local function charge(t, ms)
  t.vt, t.used, t.placed = t.vt + whole(ms * 1000 / t.weight), t.used + ms, false
end

-- A run took so many ms: the next one is likely to. Kept in eighths, so that it is seldom written.
local function learn(t, ms)
  local est = math.max(1, whole((t.est + 0.2 * (ms - t.est)) * 8)) / 8
  t.learnt, t.est = t.learnt or est ~= t.est, est
end

-- Spend a permit of the tenant's rate: `tat` is when all that were spent have grown again.
local function spend(t)
  if t.interval > 0 then t.tat = math.max(t.tat, now) + t.interval end
end

-- Where who comes begins: at `v`, or with the first of those that wait, if it is behind. That is so
-- where one took more than its share before anybody knew how long its runs are; who comes later
-- need not wait until all others have made up for it.
local least
local function base()
  least = least or tonumber(call('ZRANGE', P .. ':active', 0, 0, 'WITHSCORES')[2]) or v
  return math.min(v, least)
end

-- A tenant becomes busy at `base`, and below a millisecond later, by name and time: of tenants that
-- begin together it is not always the same one that is first.
local function make_busy(t)
  if not t.busy then
    local a, b, c = string.byte(t.name, -3, -1)
    local hash = (a + 251 * (b or 0) + 63001 * (c or 0)) * (now % 7919 + 1) % 9973
    t.busy, t.vt, weight = true, math.max(t.vt, base() + floor(hash / 10)), weight + t.weight
  end
end

-- The list of a tenant's runs in a ring, '' for the main one.
local function list_of(t, ring, priority)
  local list = P .. ':q:' .. t.name
  if ring ~= '' then list = list .. '@' .. ring end
  if priority and priority ~= 'normal' then list = list .. '^' .. priority end
  return list
end

local function waits(t, ring)
  local list = list_of(t, ring)
  if not t.lanes then return call('EXISTS', list) == 1 end
  return call('EXISTS', list, list .. '^high', list .. '^low') > 0
end

-- Whether the tenant has as many queued runs as its max_backlog allows.
local function full(t)
  if t.backlog == 0 then return false end
  local n = 0
  for _, priority in ipairs(t.lanes and {'normal', 'high', 'low'} or {'normal'}) do
    n = n + call('LLEN', list_of(t, '', priority))
    for ring in pairs(t.rings) do n = n + call('LLEN', list_of(t, ring, priority)) end
  end
  return n >= t.backlog
end

-- The ring for runs of a handler.
local function ring_of(handler)
  return caps[handler] and caps[handler].most > 0 and handler or ''
end

-- Put a pointer into the tenant's queue; `command` is RPUSH, or LPUSH for one that had its turn.
-- Returns how many of its queue, or of its priority in it, are in front of one that is pushed last.
local function push(id, t, command, handler, priority)
  local ring = ring_of(handler)
  local length = call(command, list_of(t, ring, priority), id)
  if length == 1 and ring == '' and not t.lanes and t.busy then
    t.vt = math.max(t.vt, base())  -- it waited for nothing: what it did not use is no credit
  end
  if priority and priority ~= 'normal' then t.lanes = true end
  make_busy(t)
  if ring == '' then t.queued = true else t.rings[ring] = true end
  t.pushed, t.placed = t.pushed + 1, false
  return length - 1
end

-- Give `member` of a sorted set a score, as text, or take it out if that is false. One that is taken
-- out and put in again before all is written stays; the other way round nobody does it.
local function put(key, member, score)
  local list = score and added[key] or not score and dropped[key]
  if not list then
    list = {}
    if score then added[key] = list else dropped[key] = list end
  end
  if score then list[#list + 1] = score end
  list[#list + 1] = member
end

local function seat(key, t, seated)
  put(key, t.name, seated and int(t.vt))
end

-- Run a command with many values, a part at a time.
local function many(command, key, values)
  for i = 1, #values, 500 do call(command, key, unpack(values, i, math.min(i + 499, #values))) end
end

-- Write the sorted sets; so before one is read.
local function write_sorted()
  for key, members in pairs(dropped) do many('ZREM', key, members) end
  for key, list in pairs(added) do many('ZADD', key, list) end
  added, dropped = {}, {}
end

-- Put the tenant where it belongs: into the rings in which it has runs, or into `limited`.
local function place(t)
  local at = free_at(t)
  local free = at <= now
  if free and t.limits and call('ZREM', P .. ':limited', t.name) == 1 then
    -- What its limit kept it from is no credit, or all that come would begin so far behind.
    t.vt, t.pushed = math.max(t.vt, base()), t.pushed + 1
  end
  if t.queued == nil then t.queued = waits(t, '') end
  t.waiting = t.queued
  seat(P .. ':active', t, t.queued and free)
  for ring in pairs(t.rings) do
    local some = waits(t, ring)
    seat(P .. ':active:' .. ring, t, some and free)
    t.waiting = t.waiting or some
    if not some then t.rings[ring] = nil elseif not caps[ring] then set_cap(ring, 0, 0) end
  end
  if t.waiting and not free then
    call('ZADD', P .. ':limited', at == math.huge and '+inf' or at, t.name)
  elseif t.limits then
    call('ZREM', P .. ':limited', t.name)
  end
  t.placed = true
end

local function save_tenant(t)
  if not t.placed then place(t) end
  if t.busy and not t.waiting and t.running == 0 then
    t.busy, weight = false, weight - t.weight
  end
  if t.running == 0 then t.owed = 0 end
  local before = t.before
  if before[1] ~= t.running or before[2] ~= t.used or before[3] ~= t.owed then
    call('HSET', t.key, 'running', t.running, 'vt', int(t.vt), 'owed', int(t.owed),
         'used', int(t.used))
  elseif before[4] ~= t.vt then
    call('HSET', t.key, 'vt', int(t.vt))
  end
  if before[5] ~= t.busy then call('HSET', t.key, 'busy', t.busy and '1' or '0') end
  if t.learnt then call('HSET', t.key, 'est', t.est) end
  if t.interval > 0 then call('HSET', t.key, 'tat', t.tat) end
  if t.lanes or t.queues ~= '' or next(t.rings) then
    local queues = {t.lanes and t.waiting and '^' or nil}
    for ring in pairs(t.rings) do queues[#queues + 1] = ring end
    call('HSET', t.key, 'queues', table.concat(queues, ' '))
  end
  if free_at(t) <= now then pushed = pushed + t.pushed end
end

-- Write back what changed and wake one idle worker for each run that became claimable.
local function save()
  for _, t in pairs(tenants) do save_tenant(t) end
  write_sorted()
  for handler in pairs(begun) do
    call('HSET', P .. ':running', handler, caps[handler].running)
  end
  for name, cap in pairs(caps) do
    if cap.full and room(name) then pushed = pushed + 1 end
  end
  if weight < 0.001 then weight = 0 end  -- what rounding left: a tenant's is at least 0.1
  call('HSET', P, 'v', int(v), 'v_at', NOW, 'running', running, 'weight', weight,
       'fence', int(fence))
  if pushed > 0 then
    local free = WAKE_CAP - call('LLEN', P .. ':wake')
    local tokens = {}
    for i = 1, math.min(pushed, free) do tokens[i] = '1' end
    many('RPUSH', P .. ':wake', tokens)
  end
end
