-- call: nothing -> queued. Accepts calls, at most once each: they stand for no occurrence, and run
-- beside each other. If nobody claims one in time it is not carried out, and its record goes.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV     from 2 on, ten values for each call:
--          job_id, tenant, job, handler, attempts, keep (ms), body (msgpack JobRequest),
--          priority (high, normal or low), timeout (ms within which it must begin; 0 is no limit),
--          inbox (of who waits for the reply, or '')
-- Returns  the epoch; ms until the gate closes (then nothing was done), else 0; then a word for each
--          call:
--          queued     accepted; also if it has ended only because its caller's time was over
--          duplicate  it is in flight already
--          past       it has ended
--          shed       the tenant has as many queued runs as it may

if wait > 0 then return reply end
local others  -- tenants that have queued runs

local function accept(id, t, handler, priority, timeout, keep)
  local record = P .. ':j:' .. id
  others = others or call('ZCARD', P .. ':active')
  local ahead = push(id, t, 'RPUSH', handler, priority)
  if ahead == 0 then others = others + 1 end
  local queue = (ahead > 0 or others > 1) and ' ' .. ahead .. ' ' .. others - 1 or ''
  call('HSET', record, 'state', 'queued', 'due', 0, 'attempt', 0, 'queued', NOW .. queue)
  if timeout > 0 then limit(record, timeout, keep) end
  drop_gone(list_of(t, ring_of(handler), priority))
end

for i = 2, #ARGV, 10 do
  local id, t = ARGV[i], tenant(ARGV[i + 1])
  local record = P .. ':j:' .. id
  local word = 'queued'
  if in_flight(id) then
    word = 'duplicate'
    prolong(record, tonumber(ARGV[i + 8]), tonumber(ARGV[i + 5]))
  elseif call('EXISTS', record) == 1 and not is_void(record) then
    word = 'past'
  elseif full(t) then
    word = 'shed'
  else
    forget_end(record)
    call('HSET', record, 'tenant', t.name, 'job', ARGV[i + 2], 'handler', ARGV[i + 3],
         'attempts', ARGV[i + 4], 'keep', ARGV[i + 5], 'body', ARGV[i + 6],
         'priority', ARGV[i + 7])
    if ARGV[i + 9] ~= '' then call('HSET', record, 'reply', ARGV[i + 9]) end
    accept(id, t, ARGV[i + 3], ARGV[i + 7], tonumber(ARGV[i + 8]), tonumber(ARGV[i + 5]))
  end
  answer(word)
end
save()
return reply
