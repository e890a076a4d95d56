-- lib: what the transitions share. Put in front of each script by rota.common.scripts, and behind it
-- fair.lua, on tenants and their queues, and runs.lua; turns.lua where it is whose turn.

-- The gate. A server process that is not the one that we knew may have lost writes: it was
-- restarted, or it is a replica that was promoted. For GATE ms nothing is enqueued, claimed or
-- rescued, while live workers report again what they hold (renew, adopt) and what they completed
-- (complete). Each time the epoch rises, to the time in microseconds. A caller that knows an epoch
-- is a witness: the group had data then, even if the store has none.
-- GATE is what the caller asks for; the gate is open for the longest that anybody ever asked for,
-- counted from when it opened, even if we hear of that only later.

local P = KEYS[1]
local WAKE_CAP, DEAD_CAP, DEAD_TTL, DONE_CAP = 64, 10000, 7 * 86400000, 50000
local CONTROL_TTL = 60000  -- ms, for a token that its worker does not fetch
local KEEP = 3600000  -- ms, for a triggered run of which the store has lost how long to keep it
local call = redis.call

-- While a slot of a cluster moves, a node refuses keys that it does not have, in the middle of a
-- script, and keeps what the script had written. So touch one that never exists before all else.
local absent = redis.pcall('EXISTS', P .. ':absent')
if type(absent) == 'table' then return redis.error_reply('TRYAGAIN ' .. absent.err) end

local meta = call('HMGET', P, 'skew', 'v', 'v_at', 'running', 'weight', 'fence', 'server', 'gate',
                  'epoch', 'born', 'gate_ms', 'opened', 'limited', 'ledger_runs', 'ledger_ms')
local clock = call('TIME')
-- `skew` is a door for tests: it moves this group's clock by that many milliseconds. With a `=` in
-- front the clock stands still at that time.
local skew = meta[1] or 0
local now = tonumber(string.match(skew, '^=(%d+)$'))
            or clock[1] * 1000 + math.floor(clock[2] / 1000) + skew
local fence, gate = tonumber(meta[6]) or 0, tonumber(meta[8]) or 0
local epoch, born = tonumber(meta[9]) or 0, tonumber(meta[10]) or 0
local longest, opened = tonumber(meta[11]) or 0, tonumber(meta[12]) or 0
local limited = meta[13]  -- whether anybody has a limit

local format = string.format
local function int(n)  -- of a whole number; the store takes twice as long to write one
  return format('%d', n)
end

local NOW = int(now)

-- Whether the caller knows better than the store: it has heard of an epoch that the store has
-- forgotten, or it knew the group before somebody without knowledge began it anew (`born`).
local function witnesses(known)
  return known > epoch or (known > 0 and known < born)
end

local function lengthen_gate()
  longest = GATE
  if opened > 0 then gate = math.max(gate, opened + GATE) end
  call('HSET', P, 'gate_ms', int(longest), 'gate', int(gate))
end

local function open_gate(known, info)
  local lost = meta[7] or witnesses(known)
  epoch = math.max(epoch + 1, known + 1, now * 1000 + clock[2] % 1000)
  if lost then opened, gate, born = now, now + longest, 0 else born = epoch end
  -- An hour ahead: above whatever a master that we lost sight of may still give out.
  fence = math.max(fence, (clock[1] + 3600) * 1000000 + clock[2])
  call('HSET', P, 'server', string.match(info, 'run_id:(%x+)'), 'gate', int(gate),
       'opened', int(opened), 'epoch', int(epoch), 'born', int(born), 'fence', int(fence))
end

if GATE > longest then lengthen_gate() end
do
  local info, known = call('INFO', 'server'), tonumber(ARGV[1])
  local same = meta[7] and string.find(info, 'run_id:' .. meta[7], 1, true)
  if not same or witnesses(known) then open_gate(known, info) end
end
local wait = math.max(0, gate - now)
local reply = {epoch, wait}

local function answer(value, ...)
  reply[#reply + 1] = value
  if ... then return answer(...) end
end
