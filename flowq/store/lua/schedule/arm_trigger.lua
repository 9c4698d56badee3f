-- schedule/arm_trigger: lets a trigger begin: only events from now on start runs
-- edges: -
-- args: trigger definition keys*
-- guard: its definition is another one than that with which it began
-- replies: {done | duplicate}
-- uses: -
-- `keys` are those of events that are there already. A trigger that follows a flow begins behind the latest end of a run.
function T.arm_trigger()
  local id, definition, keys = A.text(), A.text(), A.list()
  if call('HGET', K.schedule(id), 'armed') == definition then return { 'duplicate' } end
  local last = call('XREVRANGE', K.ended(), '+', '-', 'COUNT', 1)[1]
  call('HSET', K.schedule(id), 'armed', definition, 'cursor', last and last[1] or '0-0')
  for i = 1, #keys do call('ZADD', K.events_seen(id), now, keys[i]) end
  return { 'done' }
end
