-- backfill/advance: moves the cursor of a backfill over slots for which it makes no run
-- edges: -
-- args: backfill after cursor left_out done
-- guard: the backfill is running, and no scheduler has moved its cursor since the caller looked (`after`, -1 for none)
-- replies: {done | conflict | wrong_state | not_found}
-- uses: lib/slot_claims
-- `done`: there are no more slots; the backfill has ended, though runs of it may be open.
function T.advance()
  local id, after, cursor, left_out, done = A.text(), A.number(), A.number(), A.number(), A.text() == '1'
  local key = K.backfill(id)
  local found = call('HMGET', key, 'state', 'cursor')
  if not found[1] then return { 'not_found' } end
  if found[1] ~= 'running' then return { 'wrong_state' } end
  if tonumber(found[2] or -1) ~= after then return { 'conflict' } end
  if left_out > 0 then call('HINCRBY', key, 'left_out', left_out) end
  if cursor >= 0 then call('HSET', key, 'cursor', cursor) end
  if done then
    call('HSET', key, 'state', 'done', 'ended_at', now)
    call('SREM', K.backfills_open(), id)
  end
  return { 'done' }
end
