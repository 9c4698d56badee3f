-- schedule/log_refusal: notes once that a slot did not fire because its flow is not valid; the slot stays missed
-- edges: -
-- args: schedule slot reason notices
-- guard: the latest entry of the log is not about this slot
-- replies: {done | duplicate}
-- uses: lib/slot_claims lib/notices
-- When the flow is valid again, `catch_up` decides about the slot.
function T.log_refusal()
  local id, slot, reason, notices = A.text(), A.number(), A.text(), A.text()
  if tonumber(call('HGET', K.schedule(id), 'refused') or -1) >= slot then return { 'duplicate' } end
  call('HSET', K.schedule(id), 'refused', slot)
  L.log_slot(id, slot, 'refused', reason)
  L.announce(notices, 'refused', id, { 'flow', id, 'slot', slot, 'error', reason })
  return { 'done' }
end
