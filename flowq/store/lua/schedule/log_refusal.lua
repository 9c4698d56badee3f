-- schedule/log_refusal: notes once that a slot did not fire because its flow is not valid; the slot stays missed
-- edges: -
-- args: schedule slot reason
-- guard: the latest entry of the log is not about this slot
-- replies: {done | duplicate}
-- uses: lib/slot_claims
-- When the flow is valid again, `catch_up` decides about the slot.
function T.log_refusal()
  local id, slot, reason = A.text(), A.number(), A.text()
  if tonumber(call('HGET', K.schedule(id), 'refused') or -1) >= slot then return { 'duplicate' } end
  call('HSET', K.schedule(id), 'refused', slot)
  L.log_slot(id, slot, 'refused', reason)
  return { 'done' }
end
