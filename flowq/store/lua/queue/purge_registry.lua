-- queue/purge_registry: removes the entries of a registry whose jobs have expired
-- edges: -
-- args: status queue limit
-- guard: the entry has expired and its job is gone
-- replies: {entries that went}
-- uses: -
-- memory: also when none is left
-- Counts exclude them anyway, and every end of a job drops a few: this call drops them now.
function T.purge_registry()
  local key, limit = K.registry(A.text(), A.text()), A.number()
  local went = 0
  for _, id in ipairs(call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, limit)) do
    if call('EXISTS', K.job(id)) == 0 then went = went + call('ZREM', key, id) end
  end
  return { went }
end
