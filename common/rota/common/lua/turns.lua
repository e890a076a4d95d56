-- turns: who may start a run next. Put behind the other libraries by rota.common.scripts.

local P, call, now = P, call, now  -- close by: a function is made faster, at each call of a script

-- Of ten turns low gets one and normal three; where a list is empty the highest other one gets it.
local TURNS = 'hnhhnhlhnh'

-- Let the tenant have used what it is to be charged for so far: `v` keeps up with those whom others,
-- that wait for a limit, leave more than their shares.
local function catch_up(t)
  local ahead = math.max(0, t.owed - t.running * (now - SINCE))
  v = math.max(v, t.vt - whole(ahead * 1000 / t.weight))
end

-- Take the next pointer, and its priority, out of the tenant's queue.
local function pop(t, ring)
  t.placed, t.queued = false, nil
  if not t.lanes then return call('LPOP', list_of(t, ring)), 'normal' end
  local turn = call('HINCRBY', P .. ':t:' .. t.name, 'turn' .. ring, 1)
  local first = turn % #TURNS + 1
  local mine = ({h = 'high', n = 'normal', l = 'low'})[string.sub(TURNS, first, first)]
  for _, priority in ipairs({mine, 'high', 'normal', 'low'}) do
    local id = call('LPOP', list_of(t, ring, priority))
    if id then return id, priority end
  end
end

-- Put the tenants, at most `n`, back into the rings whose rates let them start again.
local function readmit(n)
  local names = call('ZRANGEBYSCORE', P .. ':limited', '-inf', int(now), 'LIMIT', 0, n)
  for _, name in ipairs(names) do
    local t = tenant(name)
    if not t.limits then call('ZREM', P .. ':limited', name) end
    place(t)
  end
  return names
end

-- The rings of handlers that `serves` is true for, and the main one; and those of the others.
local function rings_for(serves)
  local ours, others = {[''] = P .. ':active'}, {}
  write_sorted()
  for handler, cap in pairs(caps) do
    local ring = P .. ':active:' .. handler
    if handler ~= '' and cap.most == 0 and call('EXISTS', ring) == 0 then
      call('HDEL', P .. ':caps', handler)  -- it has drained
      call('HDEL', P .. ':running', handler)
    elseif handler ~= '' then
      (serves(handler) and ours or others)[handler] = ring
    end
  end
  return ours, others
end

-- Where nobody has a limit a claim reads the main ring once, as many tenants as it may need, each
-- with its time: `flat`. Those of it that had a turn come again: `had`, sorted as well.
local flat, had, at, had_at = nil, {}, 1, 1

local function read_ring(n)
  for _, t in pairs(tenants) do if not t.placed then place(t) end end
  write_sorted()
  flat, had, at, had_at = call('ZRANGE', P .. ':active', 0, n - 1, 'WITHSCORES'), {}, 1, 1
end

-- The tenant has had its turn, and has used more by now: it comes again.
local function sit_down(t)
  local k = #had
  while k >= had_at and (t.vt < had[k].vt or (t.vt == had[k].vt and t.name < had[k].name)) do
    had[k + 1] = had[k]
    k = k - 1
  end
  had[k + 1] = t
end

local function first_of_all(n)
  if not flat or at > 2 * n then read_ring(n) end
  local name, vt, again = flat[at], tonumber(flat[at + 1]), had[had_at]
  if again and (not name or again.vt < vt or (again.vt == vt and again.name < name)) then
    had_at = had_at + 1
    return again.name, ''
  end
  at = at + 2
  return name, ''
end

-- The tenant with the least service in the rings that have room, and the ring. One that is first in
-- several takes them in turn: or else, while it has other runs, those of a limited handler starve.
local function first_in_turn(rings, n)
  if not limited then return first_of_all(n) end
  write_sorted()
  local name, least, own
  for handler, ring in pairs(rings) do
    local first = room(handler) and call('ZRANGE', ring, 0, 0, 'WITHSCORES') or {}
    local vt = tonumber(first[2])
    if vt and (not least or vt < least) then
      name, least, own = first[1], vt, {handler}
    elseif vt and vt == least and first[1] == name then
      own[#own + 1] = handler
    end
  end
  if not name or #own == 1 then return name, name and own[1] end
  table.sort(own)
  return name, own[call('HINCRBY', P .. ':t:' .. name, 'ring', 1) % #own + 1]
end

-- One of the rings that has a run that may start.
local function filled(rings)
  for handler, ring in pairs(rings) do
    if room('') and room(handler) and call('EXISTS', ring) == 1 then return handler end
  end
end

-- Wake by name who serves the handler: where the wake token for a run of it is spent.
local woken = {}
local function wake_servers(handler, lease)
  if woken[handler] then return end
  woken[handler] = true
  for _, other in ipairs(call('ZRANGEBYSCORE', P .. ':workers', int(now), '+inf')) do
    if call('SISMEMBER', P .. ':wh:' .. other, handler) == 1 then
      local bell = P .. ':wake:' .. other
      if call('LLEN', bell) == 0 then call('RPUSH', bell, '1') end
      call('PEXPIRE', bell, int(lease))
    end
  end
end
