-- schedule/pause: lets no slot of a schedule fire from now on
-- edges: -
-- args: schedule by note until
-- guard: a scheduler has had the schedule within a month
-- replies: {done | not_found}
-- uses: lib/slot_claims
-- memory: also when none is left
-- `until` is a time in ms at which the pause ends by itself, or -1.
function T.pause()
  local id, by, note, until_ms = A.text(), A.text(), A.text(), A.number()
  if not call('ZSCORE', K.schedules(), id) then return { 'not_found' } end
  call('HSET', K.schedule(id), 'paused', '1', 'paused_at', now, 'by', by, 'note', note)
  if until_ms < 0 then call('HDEL', K.schedule(id), 'until') else call('HSET', K.schedule(id), 'until', until_ms) end
  L.call_schedulers()
  return { 'done' }
end
