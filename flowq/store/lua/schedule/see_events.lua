-- schedule/see_events: keeps in mind which events of a trigger are still there, and forgets those that have not been there for a month
-- edges: -
-- args: trigger keys*
-- guard: only events that were dealt with are kept in mind
-- replies: {done}
-- uses: -
local MONTH = 30 * 86400000

function T.see_events()
  local id, keys = A.text(), A.list()
  for i = 1, #keys do call('ZADD', K.events_seen(id), 'XX', now, keys[i]) end
  call('ZREMRANGEBYSCORE', K.events_seen(id), '-inf', now - MONTH)
  return { 'done' }
end
