-- cron/enqueue_slot: creates the job of a due slot of a cron entry, once
-- edges: -
-- args: entry after slot name, then those of create
-- guard: the slot has come, and no scheduler has dealt with the entry since the caller looked (`after`); else those of create
-- replies: {done | duplicate | wrong_state (too early) | conflict (another scheduler was quicker) | not_found, status or parent id, the latest slot}
-- uses: job/create lib/cron_history
-- However many schedulers see the slot, the first one creates the job, in the same step that notes the slot: none is lost or doubled.
-- `after` and `slot` in ms, `after` -1 for an entry of which there has been none.
local YEAR = 31536000000

function T.enqueue_slot()
  local entry, after, slot, name = A.text(), A.number(), A.number(), A.text()
  local id = ARGV[A.at + 2] -- create reads it again: nonce, id, …
  local key = K.cron(entry)
  local found = call('HMGET', key, 'slot', 'job')
  local latest = tonumber(found[1] or -1)
  if latest == slot and found[2] == id then return { 'duplicate', call('HGET', K.job(id), 'status') or '-', latest } end
  if latest ~= after then return { 'conflict', '', latest } end
  if slot > now then return { 'wrong_state', '', latest } end
  local reply = L.create()
  if reply[1] == 'done' or reply[1] == 'duplicate' then
    call('HSET', key, 'slot', slot, 'job', id, 'at', now)
    call('PEXPIRE', key, 2 * YEAR)
    L.list_cron_job(name, id, slot)
    latest = slot
  end
  L.drain(100)
  reply[3] = latest
  return reply
end
