-- backfill/change: pauses, resumes or cancels a backfill
-- edges: -
-- args: backfill state reason
-- guard: it has not ended; a state that it has already is done
-- replies: {done | wrong_state | not_found, state it had}
-- uses: lib/slot_claims
-- memory: also when none is left
-- Runs that are open go on.
function T.change()
  local id, state, reason = A.text(), A.text(), A.text()
  local key = K.backfill(id)
  local had = call('HGET', key, 'state')
  if not had then return { 'not_found', '' } end
  if had == state then return { 'done', had } end
  if had ~= 'running' and had ~= 'paused' then return { 'wrong_state', had } end
  call('HSET', key, 'state', state, 'reason', reason)
  if state == 'canceled' then
    call('HSET', key, 'ended_at', now)
    call('SREM', K.backfills_open(), id)
  end
  L.call_schedulers()
  return { 'done', had }
end
