-- claim: queued or held -> running. Gives a worker up to n runs, the tenants with the least service
-- first, each under a lease and a fence that only ever rises. A run whose handler the worker does
-- not serve is set aside (queued -> held) for one that does; no attempt is spent on it.
-- The same request again gives the same runs again: its reply was lost.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  worker id
-- ARGV[3]  n, 0 to ask for the epoch only
-- ARGV[4]  lease, ms
-- ARGV[5]  request number, different for each claim of this worker
-- Returns  the epoch; ms until the gate closes (then nothing was done), else 0; then
--          unregistered  the worker must register its handlers first
--          claimed       and more, run*: more is 1 if claimable runs are left, else 0;
--                        run is job_id, fence, attempt, due (ms), body

local worker, n, lease, request = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] .. ' '
local taken, served, woken, held_left, memory = {}, {}, {}, 0, P .. ':c:' .. worker
if wait > 0 or n == 0 then return reply end
if call('EXISTS', P .. ':wh:' .. worker) == 0 then
  answer('unregistered')
  return reply
end

local function serves(handler)
  if served[handler] == nil then
    served[handler] = call('SISMEMBER', P .. ':wh:' .. worker, handler) == 1
  end
  return served[handler]
end

local function take(id, t)
  -- The server's time in microseconds as floor: a fence rises even if the store lost its data.
  fence = math.max(fence + 1, clock[1] * 1000000 + clock[2])
  call('HINCRBY', P .. ':j:' .. id, 'attempt', 1)
  begin_attempt(id, t, fence, worker, lease)
  taken[#taken + 1] = id
end

-- The wake token for this run is spent: wake by name who serves its handler.
local function wake_servers(handler)
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

local function set_aside(id, handler)
  call('HSET', P .. ':j:' .. id, 'state', 'held')
  call('RPUSH', P .. ':hold:' .. handler, id)
  call('SADD', P .. ':held', handler)
  wake_servers(handler)
end

local function take_held()
  for _, handler in ipairs(call('SMEMBERS', P .. ':held')) do
    if serves(handler) then
      local list = P .. ':hold:' .. handler
      while #taken < n do
        local id = call('LPOP', list)
        if not id then break end
        local r = call('HMGET', P .. ':j:' .. id, 'state', 'tenant')
        if r[1] == 'held' then take(id, tenant(r[2])) end
      end
      if call('EXISTS', list) == 1 then held_left = 1 else call('SREM', P .. ':held', handler) end
    end
  end
end

local function take_queued()
  for _ = 1, n + 32 do
    local name = call('ZRANGE', P .. ':active', 0, 0)[1]
    if not name or #taken == n then return end
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
end

-- Give again what is still ours of a claim whose reply was lost; the lease counts from now.
local function take_again(ids)
  for id in string.gmatch(ids, '[^ ]+') do
    local run = held_by(id)
    if run and run.worker == worker then
      call('ZADD', P .. ':leases', int(now + lease), id)
      taken[#taken + 1] = id
    end
  end
end

local last = call('GET', memory) or ''
if string.sub(last, 1, #request) == request then
  take_again(string.sub(last, #request + 1))
else
  take_held()
  take_queued()
end
if #taken > 0 then call('SET', memory, request .. table.concat(taken, ' '), 'PX', int(lease)) end
save()

local more = math.max(held_left, call('EXISTS', P .. ':active'))
answer('claimed', more)
for _, id in ipairs(taken) do
  local r = call('HMGET', P .. ':j:' .. id, 'fence', 'attempt', 'due', 'body')
  answer(id, r[1], r[2], r[3], r[4])
end
if more == 1 and call('LLEN', P .. ':wake') == 0 then
  call('RPUSH', P .. ':wake', '1')  -- what is left is for the next idle worker
end
return reply
