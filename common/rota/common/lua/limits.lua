-- limits: no move of a run. Sets what tenants, handlers and the group may use; what is not told
-- stays as it is. Who waits for a limit that was raised may start runs at once.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV     from 2 on, seven values for each limit:
--          kind, name, weight, most, interval (ms, a fraction), burst, backlog
--          kind: tenant; or handler, which has only a limit on what runs at a time (most); or
--          group, which has no name, and a weight beside; 0 is no limit; or ledger, which keeps
--          most entries of each job, for interval
-- Returns  the epoch; ms until the gate closes, else 0

-- Who is rated the first time while the store may have lost data, may just have spent all permits.
local function rate(t, interval, burst)
  if t.interval > 0 and interval > 0 and t.tat > now then
    t.tat = now + (t.tat - now) * interval / t.interval
  elseif t.tat == 0 and wait > 0 then
    t.tat = now + burst * interval
  end
  t.interval, t.burst = interval, burst
end

local NONE = '0 0 1 0'
local set = {}

function set.tenant(name, share, most, interval, burst, backlog)
  local limits = table.concat({most, interval, burst, backlog}, ' ')
  local h = call('HMGET', P .. ':t:' .. name, 'weight', 'limits')
  if (tonumber(h[1]) or 1) == share and (h[2] or NONE) == limits then return end
  local t = tenant(name)
  -- What it could not use is no credit; what it is ahead is measured in service.
  t.vt = v + whole(math.max(0, t.vt - v) * t.weight / share)
  if t.busy then weight = weight + share - t.weight end
  t.weight, t.most, t.backlog, t.limits = share, most, backlog, limits
  rate(t, interval, burst)
  call('HSET', t.key, 'weight', share, 'limits', limits)
end

-- Runs of handlers without a limit are not counted.
local function running_of(handler)
  local n = 0
  for _, id in ipairs(call('ZRANGE', P .. ':leases', 0, -1)) do
    if call('HGET', P .. ':j:' .. id, 'handler') == handler then n = n + 1 end
  end
  call('HSET', P .. ':running', handler, n)
  return n
end

function set.handler(name, _, most)
  local cap = caps[name]
  local n = most > 0 and (cap and cap.most > 0 and cap.running or running_of(name)) or 0
  if most > 0 or cap then set_cap(name, most, n) end
end

function set.group(_, share, most)
  call('HSET', P, 'share', share)
  if most > 0 then
    set_cap('', most, running)
  elseif caps[''] then
    caps[''].most = 0
    call('HDEL', P .. ':caps', '')
  end
end

function set.ledger(_, _, most, ms) call('HSET', P, 'ledger_runs', most, 'ledger_ms', int(ms)) end

for i = 2, #ARGV, 7 do
  if ARGV[i] ~= 'ledger' and ARGV[i + 3] + ARGV[i + 4] > 0 then call('HSET', P, 'limited', 1) end
  set[ARGV[i]](ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4]),
               tonumber(ARGV[i + 5]), tonumber(ARGV[i + 6]))
end
save()
return reply
