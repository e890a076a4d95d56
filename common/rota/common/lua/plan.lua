-- plan: running -> running. Takes tasks that a run's handler, a planner, has planned. They begin when
-- it has ended well (see advance) or, if they are to be early, at once. What an earlier attempt has
-- planned is dropped or, if they are early, stays: then the planner goes on behind it.
--
-- KEYS[1]  the group's root key
-- ARGV[1]  the epoch that the caller knows, 0 if none
-- ARGV[2]  job_id
-- ARGV[3]  fence
-- ARGV[4]  how many tasks were planned before these
-- ARGV[5]  what holds for all of them (msgpack Plan)
-- ARGV[6]  what a worker is asked to do for each, but for its arguments (msgpack JobRequest)
-- ARGV     from 7 on, two values for each task: size, task (msgpack Task)
-- Returns  the epoch; ms until the gate closes (then nothing was done), else 0; then word, detail:
--          planned  detail is how many tasks there are now; less than sent if some were lost. Then ms
--                   for each unit of size, as the job's tasks took in this phase before this plan
--                   began, '' if that was not learnt
--          stale    the run is no longer held under this fence; nothing was written

if wait > 0 then return reply end
local id, held, from = ARGV[2], ARGV[3], tonumber(ARGV[4])
local run, rules, rows = held_by(id, held), cmsgpack.unpack(ARGV[5]), {}
if not run then
  answer('stale', 0)
  return reply
end
local phase, f = run.phase or 1, fan_of(id)
if f and (f.phase ~= phase or (f.fence ~= held and not f.early)) then
  abandon(id)
  f = nil
end
if not f then
  local base = call('HGET', P .. ':j:' .. id, 'base') or 0
  call('HSET', P .. ':f:' .. id, 'phase', phase, 'base', base, 'planned', 0, 'succeeded', 0, 'dead', 0,
       'cancelled', 0, 'handler', rules.handler, 'attempts', rules.attempts,
       'early', rules.early and 1 or 0, 'at_once', rules.at_once and 1 or 0,
       'stagger', rules.stagger_ms, 'next', 0, 'short', 0, 'request', ARGV[6])
  if rules.paced then
    local pace = call('HGET', slot_of(id), 'pace ' .. int(phase))
    call('HSET', P .. ':f:' .. id, 'pace', pace or '', 'spent', 0, 'sized', 0)
  end
  call('HSET', P .. ':j:' .. id, 'phase', phase)
  f = fan_of(id)
end
for i = 7, #ARGV, 2 do
  local number = from + (i - 5) / 2
  if number == f.planned + 1 then  -- else it came before, or one before it was lost
    f.planned, rows[#rows + 1], rows[#rows + 2] = number, -ARGV[i],
      string.format('%08d', f.base + number) .. ARGV[i + 1]
  end
end
if #rows > 0 then call('ZADD', P .. ':todo:' .. id, unpack(rows)) end
call('HSET', f.key, 'planned', int(f.planned), 'fence', held)
if f.early then feed(f, WINDOW - alive(f)) end
save()
answer('planned', int(f.planned), f.pace or '')
return reply
