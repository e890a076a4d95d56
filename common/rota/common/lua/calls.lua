-- calls: runs that somebody asked for and waits for. Put behind ledger.lua by rota.common.scripts.
--
-- A call is known as TENANT/@HANDLER:NAME. Its job is no job of the configuration: runs of it may be
-- in flight beside each other, and nobody but the one who asked hears of their ends. Its record has
-- `latest`, when it must have begun (ms), and `reply`, the inbox that its reply goes to.

local INBOX_TTL = 60000  -- ms behind the last reply: who does not fetch them looks at the records
local INBOX_WHOLE, INBOX_MOST = 1000, 100000  -- replies in an inbox; of more only the job_id is told

local function is_call(id)
  return string.find(id, '/@', 1, true)
end

-- Put the reply into the inbox of who waits for it; tells whether anybody does.
local function send_reply(id, completion, result)
  local inbox = call('HGET', P .. ':j:' .. id, 'reply')
  if not inbox then return false end
  local list = P .. ':in:' .. inbox
  local waiting = call('LLEN', list) / 3
  if waiting >= INBOX_WHOLE then completion, result = '', '' end
  if waiting < INBOX_MOST then call('RPUSH', list, id, completion, result) end
  call('PEXPIRE', list, INBOX_TTL)
  return true
end
