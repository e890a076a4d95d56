-- fills: backfills, each of which runs past occurrences of a job. Put in front of enqueue.lua by
-- rota.common.scripts. In the group's hash of them an array for each job; `Backfill` in
-- rota.common.backfills tells what is in it.

-- Return the backfill that a run belongs to: nil if to none; false if that has had the run before,
-- or is no more.
local function fill_of(ref, id, due)
  local number = string.match(id, ':backfill%-(%d+)%-')
  if not number then return nil end
  local packed = call('HGET', P .. ':backfills', ref)
  local row = packed and cmsgpack.unpack(packed) or {}
  if row[1] ~= tonumber(number) or due <= row[7] then return false end
  return {ref = ref, row = row, due = due, last = row[9]}
end

-- Note that the backfill is through with this run, unless it is to be sent again. In one script with
-- the run's enqueueing: no crash leaves one out or doubles it. If the store loses writes it loses
-- both, and what a live worker brings back is found to be there, or to have ended.
local function go_on(fill, id, word)
  if word ~= 'queued' and word ~= 'duplicate' and word ~= 'past' then return end
  local row = fill.row
  row[7], row[8], row[9] = fill.due, row[8] + 1, id
  call('HSET', P .. ':backfills', fill.ref, cmsgpack.pack(row))
end
