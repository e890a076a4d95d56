-- claim: queued or held -> running. Gives a worker up to n runs, the tenants with the least service
-- first, each under a lease and a fence that only ever rises. A run whose handler the worker does
-- not serve is set aside (queued -> held) for one that does; no attempt is spent on it.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  worker id
-- ARGV[2]  n, at least 1
-- ARGV[3]  lease, ms
-- Returns  {'unregistered'}            the worker must register its handlers first
--          {'ok', more, run*}          more is 1 if claimable runs are left, else 0;
--                                      run is job_id, fence, attempt, due (ms), body

local worker, n, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local served, reply = {}, {'ok', 0}
if call('EXISTS', P .. ':wh:' .. worker) == 0 then return {'unregistered'} end

local function serves(handler)
  if served[handler] == nil then
    served[handler] = call('SISMEMBER', P .. ':wh:' .. worker, handler) == 1
  end
  return served[handler]
end

local fence = tonumber(meta[6]) or 0
local taken = 0

local function take(id, t)
  local record = P .. ':j:' .. id
  -- The server's time in microseconds as floor: a fence rises even if the store lost its data.
  fence = math.max(fence + 1, clock[1] * 1000000 + clock[2])
  local attempt = call('HINCRBY', record, 'attempt', 1)
  local r = call('HMGET', record, 'due', 'body')
  if not t.busy then
    t.busy, t.vt, weight = true, math.max(t.vt, v), weight + t.weight
  end
  call('HSET', record, 'state', 'running', 'fence', int(fence), 'worker', worker, 'at', int(now),
       'charged', t.est)
  call('ZADD', P .. ':leases', int(now + lease), id)
  charge(t, t.est)
  t.running, running, taken = t.running + 1, running + 1, taken + 1
  for _, value in ipairs({id, int(fence), attempt, r[1], r[2]}) do reply[#reply + 1] = value end
end

local function set_aside(id, handler)
  call('HSET', P .. ':j:' .. id, 'state', 'held')
  call('RPUSH', P .. ':hold:' .. handler, id)
  call('SADD', P .. ':held', handler)
end

local held_left = 0
for _, handler in ipairs(call('SMEMBERS', P .. ':held')) do
  if serves(handler) then
    local list = P .. ':hold:' .. handler
    while taken < n do
      local id = call('LPOP', list)
      if not id then break end
      local r = call('HMGET', P .. ':j:' .. id, 'state', 'tenant')
      if r[1] == 'held' then take(id, tenant(r[2])) end
    end
    if call('EXISTS', list) == 1 then held_left = 1 else call('SREM', P .. ':held', handler) end
  end
end

for _ = 1, n + 32 do
  local name = call('ZRANGE', P .. ':active', 0, 0)[1]
  if not name or taken == n then break end
  local t = tenant(name)
  local id = call('LPOP', t.queue)
  t.queued = call('EXISTS', t.queue) == 1
  if id then
    -- A pointer is only a hint: the record tells whether there is anything to claim.
    local r = call('HMGET', P .. ':j:' .. id, 'state', 'handler')
    if r[1] == 'queued' then
      if serves(r[2]) then take(id, t) else set_aside(id, r[2]) end
    end
  end
  if t.queued then
    call('ZADD', P .. ':active', t.vt, name)
  else
    call('ZREM', P .. ':active', name)
  end
end

call('HSET', P, 'fence', int(fence))
save()
reply[2] = math.max(held_left, call('EXISTS', P .. ':active'))
if reply[2] == 1 and call('LLEN', P .. ':wake') == 0 then
  call('RPUSH', P .. ':wake', '1')  -- what is left is for the next idle worker
end
return reply
