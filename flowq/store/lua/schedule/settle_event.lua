-- schedule/settle_event: notes that an event of a trigger is dealt with without a new run
-- edges: -
-- args: claim* outcome reason run
-- guard: no other scheduler has dealt with it, and the trigger is not paused
-- replies: {done | conflict | suspended}
-- uses: lib/slot_claims
-- Without an `outcome` the log has no entry about it: it was none of this trigger's.
function T.settle_event()
  local claim = L.read_claim(A.list())
  local outcome, reason, run = A.text(), A.text(), A.text()
  local refusal = L.check_event(claim)
  if refusal then return { refusal } end
  L.note_event(claim)
  if outcome ~= '' then L.log_slot(claim.id, claim.slot, outcome, reason, run) end
  return { 'done' }
end
