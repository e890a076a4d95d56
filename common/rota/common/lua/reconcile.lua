-- reconcile: no move of a run. Repairs what can't happen: what is named is held against what belongs
-- to it. Only hints and entries are added or removed; the runs' records are the truth.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  lease of a run that has none, ms
-- ARGV     from 3 on, two values for each item: kind, name
--          kind: run, lease or retry of a job_id; slot of TENANT/JOB; counts of a tenant; queue of
--          a tenant, as TENANT@HANDLER^PRIORITY where it is not the main one
-- Returns  the epoch; ms until the gate closes (then nothing was done), else 0; then two values,
--          word and name, for each repair; and for each tenant that is to be counted again
--          lease_missing    the run had no lease: has one now, rescue takes it unless it is renewed
--          rest_missing     the run was resting for ever: it is due now
--          pointer_missing  the run was in no queue: it is last in its own now
--          pointer_doubled  the tenant's queue had a run more than once
--          lease_stray      the lease was of a run that is not running
--          rest_stray       the rest was of a run that is not retrying
--          fan_stalled      none of the run's tasks was queued, or its plan was gone: it goes on
--          slot_stale       the job's slot was kept by a run that is over or gone
--          tenant_inactive  the tenant had queued runs and was never asked for them, or one ring less
--          busy             no repair: the tenant counts as busy

if wait > 0 then return reply end
local FAR = 500  -- elements of a list that are looked at, to keep the script short
local check = {}

-- Whether `list` has `id`. It counts as found where it is too far from both ends to be looked for.
local function points_to(list, id)
  if call('LPOS', list, id, 'MAXLEN', FAR) then return true end
  local length = call('LLEN', list)
  if length <= FAR then return false end
  return length > 2 * FAR or call('LPOS', list, id, 'RANK', -1, 'MAXLEN', FAR)
end

-- Let each pointer be in `list` once, the first one; tell whether one was there more often.
local function drop_doubles(list)
  local seen, doubled = {}, false
  for _, id in ipairs(call('LRANGE', list, 0, FAR - 1)) do
    if seen[id] == 1 then
      call('LREM', list, -1, id)
      doubled = true
    end
    seen[id] = 1
  end
  return doubled
end

local function state_of(id)
  return call('HGET', P .. ':j:' .. id, 'state')
end

-- Whether a queue that the run may lie in has it; its handler may have been given a limit since.
local function queued(id, t, handler, priority)
  for _, ring in ipairs({'', handler}) do
    if points_to(list_of(t, ring, priority), id) then return true end
  end
end

-- A fanned run goes on with the end of a task: there must be one.
local function mend_fan(id)
  local f, run = fan_of(id), run_in('fanned', id)
  if f and alive(f) > 0 then return end
  if f then
    fan_out(f)
  else
    call('HINCRBY', P .. ':j:' .. id, 'base', 1000000)  -- its numbers may be taken
    drop_fan(id)
    begin_anew(run)
  end
  tenant(run.tenant).placed = false  -- so that all is saved
  repaired('fan_stalled', id)
end

function check.run(id)
  local r = call('HMGET', P .. ':j:' .. id, 'state', 'tenant', 'handler', 'priority')
  if r[1] == 'running' and call('ZADD', P .. ':leases', 'NX', int(now + ARGV[2]), id) == 1 then
    repaired('lease_missing', id)
  elseif r[1] == 'retrying' and call('ZADD', P .. ':retries', 'NX', int(now), id) == 1 then
    repaired('rest_missing', id)
  elseif r[1] == 'queued' and not queued(id, tenant(r[2]), r[3], r[4]) then
    push(id, tenant(r[2]), 'RPUSH', r[3], r[4])
    repaired('pointer_missing', id)
  elseif r[1] == 'fanned' then
    mend_fan(id)
  elseif r[1] == 'held' then
    local listed = points_to(P .. ':hold:' .. r[3], id)
    if not listed then call('RPUSH', P .. ':hold:' .. r[3], id) end
    if call('SADD', P .. ':held', r[3]) == 1 or not listed then repaired('pointer_missing', id) end
  end
end

function check.lease(id)
  if state_of(id) ~= 'running' and call('ZREM', P .. ':leases', id) == 1 then
    repaired('lease_stray', id)
  end
end

function check.retry(id)
  if state_of(id) ~= 'retrying' and call('ZREM', P .. ':retries', id) == 1 then
    repaired('rest_stray', id)
  end
end

function check.slot(ref)
  local id = call('HGET', P .. ':s:' .. ref, 'run')
  local state = id and state_of(id)
  if id and (not state or state == 'succeeded' or state == 'dead' or state == 'cancelled') then
    call('HDEL', P .. ':s:' .. ref, 'run')
    if not state then note_gone(id, 'lost', '') end
    repaired('slot_stale', ref)
  end
end

-- Where a tenant with a queue should be: in the ring, or in `limited` while it may start nothing.
local function seated(t, ring)
  local at, free = call('ZSCORE', P .. ':limited', t.name), free_at(t) <= now
  if at and not (free and at == 'inf') then return true end
  return free and call('ZSCORE', P .. ':active' .. (ring == '' and '' or ':' .. ring), t.name)
end

function check.queue(list)
  if call('EXISTS', P .. ':q:' .. list) == 0 then return end
  local name, ring = string.match(list, '^([^@^]+)@?([^^]*)')
  local t = tenant(name)
  if drop_doubles(P .. ':q:' .. list) then repaired('pointer_doubled', name) end
  local lanes = t.lanes or not string.find(list, '^', 1, true)
  local known = ring == '' or (t.rings[ring] and (caps[ring] or call('ZSCORE', P .. ':limited', name)))
  if not (lanes and known and seated(t, ring)) then
    t.lanes, t.placed, t.queued, t.pushed = t.lanes or not lanes, false, nil, t.pushed + 1
    make_busy(t)
    if ring ~= '' then t.rings[ring] = true end
    repaired('tenant_inactive', name)
  end
end

function check.counts(name)
  local h = call('HMGET', P .. ':t:' .. name, 'busy', 'running')
  if h[1] == '1' or (tonumber(h[2]) or 0) ~= 0 then answer('busy', name) end
end

for i = 3, #ARGV, 2 do check[ARGV[i]](ARGV[i + 1]) end
for _, t in pairs(tenants) do
  if t.placed == false then return save() or reply end
end
return reply
