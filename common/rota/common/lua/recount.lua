-- recount: no move of a run. Counts what runs and who is busy, and corrects the counters.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  the most leases and tenants to look at in one call
-- ARGV     from 3 on, one value for each tenant: name
--          those that count as busy; who has leases or queued runs is found without
-- Returns  the epoch; ms until the gate closes (then nothing was done), else 0; then two values,
--          word and detail, for each repair
--          tenant_miscounted   the tenant's `running` or `busy` was wrong
--          running_miscounted  the group's `running` was wrong
--          weight_miscounted   the group's `weight` was wrong
--          too_many            no repair: nothing was counted, the group is too large

if wait > 0 then return reply end
local size = call('ZCARD', P .. ':leases') + call('ZCARD', P .. ':active') + #ARGV
if size > tonumber(ARGV[2]) then
  answer('too_many', int(size))
  return reply
end

local runs, total, sum = {}, 0, 0
for _, id in ipairs(call('ZRANGE', P .. ':leases', 0, -1)) do
  local r = call('HMGET', P .. ':j:' .. id, 'state', 'tenant')
  if r[1] == 'running' then
    runs[r[2]], total = (runs[r[2]] or 0) + 1, total + 1
  end
end
for _, name in ipairs(call('ZRANGE', P .. ':active', 0, -1)) do runs[name] = runs[name] or 0 end
for i = 3, #ARGV, 1 do runs[ARGV[i]] = runs[ARGV[i]] or 0 end

for name, n in pairs(runs) do
  local t = tenant(name)
  local busy = n > 0 or call('EXISTS', t.queue) == 1
  if t.running ~= n or t.busy ~= busy then repaired('tenant_miscounted', name) end
  if busy and not t.busy then t.vt = math.max(t.vt, v) end
  t.running, t.busy = n, busy
  if busy then sum = sum + t.weight end
end
if running ~= total then repaired('running_miscounted', running .. ' for ' .. total) end
if math.abs(weight - sum) > 0.001 then repaired('weight_miscounted', weight .. ' for ' .. sum) end
running, weight = total, sum
if #reply > 2 then save() end
return reply
