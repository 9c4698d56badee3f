-- backfill/change: pauses, resumes or cancels a backfill
-- edges: -
-- args: backfill state reason latest_code
-- guard: it has not ended; a state that it has already is done
-- replies: {done | wrong_state | not_found, state it had}
-- uses: lib/slot_claims
-- memory: also when none is left
-- Runs that are open go on.
function T.change()
  local id, state, reason, latest_code = A.text(), A.text(), A.text(), A.text() == '1'
  local key = K.backfill(id)
  local had = call('HGET', key, 'state')
  if not had then return { 'not_found', '' } end
  if had ~= 'running' and had ~= 'paused' and had ~= state then return { 'wrong_state', had } end
  if latest_code then call('HSET', key, 'latest_code', '1') end
  if had == state then return { 'done', had } end
  call('HSET', key, 'state', state, 'reason', reason)
  if state == 'canceled' then
    call('HSET', key, 'ended_at', now)
    call('SREM', K.backfills_open(), id)
  end
  L.call_schedulers()
  return { 'done', had }
end
