-- schedule/skip: leaves out all slots of a schedule that are due and have not fired
-- edges: -
-- args: schedule first count
-- guard: a scheduler has had the schedule within a month
-- replies: {done | not_found}
-- uses: lib/slot_claims
-- memory: also when none is left
-- `first` is the first of them and `count` how many there are, for the log.
function T.skip()
  local id, first, count = A.text(), A.number(), A.number()
  if not call('ZSCORE', K.schedules(), id) then return { 'not_found' } end
  L.note_slot(id, now)
  if count > 0 then L.log_slot(id, now, 'left_out', 'by_hand', '', first, count) end
  L.call_schedulers()
  return { 'done' }
end
