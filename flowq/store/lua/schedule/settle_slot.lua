-- schedule/settle_slot: notes that a slot of a schedule is dealt with without a new run
-- edges: -
-- args: schedule after slot due outcome reason run first count
-- guard: the slot is due, and no scheduler has dealt with the schedule since the caller looked (`after`); `skipped`: a run of it is open; `run`: that run is there
-- replies: {done | conflict | suspended | too_early | not_found (the run) | wrong_state (no run is open), run in its place}
-- uses: lib/slot_claims
-- `outcome` is skipped (by `overlap`), left_out (by `catch_up`; the slots from `first` on, `count` of them), refused (the file is not valid) or
-- run: it is there already, by the hand of a user or from an earlier state of the server.
function T.settle_slot()
  local id, after, slot, due = A.text(), A.number(), A.number(), A.number()
  local outcome, reason, run, first, count = A.text(), A.text(), A.text(), A.number(), A.number()
  local found = call('HMGET', K.schedule(id), 'slot', 'paused')
  if tonumber(found[1] or -1) ~= after then return { 'conflict', '' } end
  if found[2] then return { 'suspended', '' } end
  if due > now then return { 'too_early', '' } end
  if outcome == 'skipped' then
    run = call('ZRANGE', K.holders(L.place_in('schedule', id)), 0, 0)[1]
    if not run then return { 'wrong_state', '' } end
  elseif outcome == 'run' then
    local known = call('HMGET', K.run(run), 'schedule', 'slot')
    if known[1] ~= id or tonumber(known[2] or -1) ~= slot then return { 'not_found', '' } end
  end
  L.note_slot(id, slot)
  L.log_slot(id, slot, outcome, reason, run, first, count)
  return { 'done', run }
end
