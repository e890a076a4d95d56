-- recount: no move of a run. Counts what runs and who is busy, and corrects the counters.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  the most leases and tenants to look at in one call
-- ARGV     from 3 on, one value for each tenant: name
--          those that count as busy; who has leases, or queued runs in the main ring, is found without
-- Returns  the epoch; ms until the gate closes (then nothing was done), else 0; then two values,
--          word and detail, for each repair
--          tenant_miscounted   the tenant's `running`, `busy` or `owed` was wrong
--          handler_miscounted  how many runs of the handler are running was wrong
--          running_miscounted  the group's `running` was wrong
--          weight_miscounted   the group's `weight` was wrong
--          too_many            no repair: nothing was counted, the group is too large

if wait > 0 then return reply end
local size = call('ZCARD', P .. ':leases') + call('ZCARD', P .. ':active') +
             call('ZCARD', P .. ':limited') + #ARGV
if size > tonumber(ARGV[2]) then
  answer('too_many', int(size))
  return reply
end

local runs, owed, handlers, total, sum = {}, {}, {}, 0, 0
local function add(to, key, n) to[key] = (to[key] or 0) + n end
for _, id in ipairs(call('ZRANGE', P .. ':leases', 0, -1)) do
  local r = call('HMGET', P .. ':j:' .. id, 'state', 'tenant', 'handler', 'charged', 'at')
  if r[1] == 'running' then
    add(runs, r[2], 1)
    add(owed, r[2], r[4] + r[5] - SINCE)
    add(handlers, r[3], 1)
    total = total + 1
  end
end
for _, key in ipairs({':active', ':limited'}) do
  for _, name in ipairs(call('ZRANGE', P .. key, 0, -1)) do add(runs, name, 0) end
end
for i = 3, #ARGV, 1 do add(runs, ARGV[i], 0) end

for name, n in pairs(runs) do
  local t = tenant(name)
  local busy = n > 0 or waits(t, '')
  for ring in pairs(t.rings) do busy = busy or waits(t, ring) end
  if t.running ~= n or t.busy ~= busy or math.abs(t.owed - (owed[name] or 0)) > 1 then
    repaired('tenant_miscounted', name)
  end
  if busy and not t.busy then t.vt = math.max(t.vt, v) end
  t.running, t.busy, t.owed = n, busy, owed[name] or 0
  sum = sum + (busy and t.weight or 0)
end
for handler, cap in pairs(caps) do
  local n = handlers[handler] or 0
  if handler ~= '' and cap.most > 0 and cap.running ~= n then
    repaired('handler_miscounted', handler)
    cap.running, begun[handler] = n, true
  end
end
if running ~= total then repaired('running_miscounted', running .. ' for ' .. total) end
if math.abs(weight - sum) > 0.001 then repaired('weight_miscounted', weight .. ' for ' .. sum) end
running, weight = total, sum
if #reply > 2 then save() end
return reply
