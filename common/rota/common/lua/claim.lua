-- claim: queued or held -> running. Gives a worker up to n runs, the tenants with the least service
-- first, each under a lease and a fence that only ever rises, and as many as all limits allow. A run
-- whose handler the worker does not serve is set aside (queued -> held) for one that does; no
-- attempt is spent on it. That one queues it again (held -> queued), in front.
-- A call whose time is over is ended instead (queued -> cancelled).
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
--                        run is job_id, fence, attempt, due (ms), body, left (ms until the time of a
--                        call is over; 0 is no limit)

local worker, n, lease, request = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] .. ' '
local taken, served, held_left, memory = {}, {}, false, P .. ':c:' .. worker
if wait > 0 or n == 0 or call('EXISTS', P .. ':wh:' .. worker) == 0 then
  if wait == 0 and n > 0 then answer('unregistered') end
  if next(tenants) then save() end  -- a run of theirs has ended: see turn
  return reply
end

local function serves(handler)
  if served[handler] == nil then
    served[handler] = call('SISMEMBER', P .. ':wh:' .. worker, handler) == 1
  end
  return served[handler]
end

answer('claimed', 0)
local at_more = #reply

local function give(...)
  local k = #reply
  reply[k + 1], reply[k + 2], reply[k + 3], reply[k + 4], reply[k + 5], reply[k + 6] = ...
end

-- The server's time in microseconds as floor: a fence rises even if the store lost its data.
fence = math.max(fence, clock[1] * 1000000 + clock[2] - 1)

local function take(id, t, handler, attempt, due, body, latest)
  fence = fence + 1
  catch_up(t)
  begin_attempt(id, t, int(fence), worker, lease, handler, int(attempt + 1))
  if latest then call('PERSIST', P .. ':j:' .. id) end
  taken[#taken + 1] = id
  give(id, int(fence), int(attempt + 1), due, body, left(latest))
end

-- Queue what was held for us in front, the last first.
local function queue_held()
  for _, handler in ipairs(call('SMEMBERS', P .. ':held')) do
    if serves(handler) then
      local list = P .. ':hold:' .. handler
      local ids = call('LPOP', list, n) or {}
      for i = #ids, 1, -1 do
        local r = call('HMGET', P .. ':j:' .. ids[i], 'state', 'tenant', 'priority')
        if r[1] == 'held' then
          call('HSET', P .. ':j:' .. ids[i], 'state', 'queued')
          push(ids[i], tenant(r[2]), 'LPUSH', handler, r[3])
        end
      end
      if call('EXISTS', list) == 1 then held_left = true else call('SREM', P .. ':held', handler) end
    end
  end
  for _, t in pairs(tenants) do if not t.placed then place(t) end end
end

local function take_first(name, ring)
  local t = tenant(name)
  if free_at(t) > now then return place(t) end
  local id, priority = pop(t, ring)
  -- A pointer is only a hint: the record tells whether there is anything to claim.
  local r = id and call('HMGET', P .. ':j:' .. id, 'state', 'handler', 'attempt', 'due', 'body',
                       'latest') or {}
  if r[1] == 'queued' and not expired(id, r[6])
     and (not is_task(id) or far.in_turn(id, r[3])) then
    if ring == '' and ring_of(r[2]) ~= '' then
      push(id, t, 'RPUSH', r[2], priority)  -- its handler's limit is younger than the run
    elseif serves(r[2]) then
      take(id, t, unpack(r, 2))
    else
      set_aside(id, r[2])
      wake_servers(r[2], lease)
    end
  end
  if limited then place(t) elseif id then sit_down(t) end
end

local function take_queued(rings)
  for _ = 1, n + 32 do
    local name, ring
    if #taken < n and room('') then name, ring = first_in_turn(rings, n) end
    if not name then return end
    take_first(name, ring)
  end
end

-- Give again what is still ours of a claim whose reply was lost; the lease counts from now.
local function take_again(ids)
  for id in string.gmatch(ids, '[^ ]+') do
    local run = held_by(id)
    if run and run.worker == worker then
      put(P .. ':leases', id, int(now + lease))
      local r = call('HMGET', P .. ':j:' .. id, 'fence', 'attempt', 'due', 'body', 'latest')
      taken[#taken + 1] = id
      give(id, r[1], r[2], r[3], r[4], left(r[5]))
    end
  end
end

local last = call('GET', memory) or ''
local again = string.sub(last, 1, #request) == request
if not again then
  if limited then readmit(16) end  -- the most tenants that start again after their rates
  queue_held()
end
local rings, others = rings_for(serves)
if again then take_again(string.sub(last, #request + 1)) else take_queued(rings) end
if #taken > 0 then call('SET', memory, request .. table.concat(taken, ' '), 'PX', int(lease)) end
for _, t in pairs(tenants) do t.pushed = 0 end  -- what we leave is for the token below
save()

local more = (held_left and room('') or filled(rings)) and 1 or 0
reply[at_more] = more
if more == 1 and call('LLEN', P .. ':wake') == 0 then
  call('RPUSH', P .. ':wake', '1')  -- what is left is for the next idle worker
end
while more == 0 and filled(others) do
  local handler = filled(others)
  wake_servers(handler, lease)
  others[handler] = nil
end
return reply
