-- queue/empty: the waiting jobs of a queue vanish, some per call
-- edges: -
-- args: queue limit
-- guard: that of delete, for each job; jobs of runs stay
-- replies: {jobs deleted, jobs that wait still}
-- uses: job/delete
-- A composite: each job goes as if it had been deleted by itself, so its dependents are decided.
function T.empty()
  local queue, limit = A.text(), A.number()
  local key = K.queue(queue)
  local deleted = 0
  for _, id in ipairs(call('ZRANGE', key, 0, limit - 1)) do
    local outcome = L.delete(id)
    if outcome == 'done' or outcome == 'more' then -- of one with very many dependents the record goes by its ttl
      deleted = deleted + 1
    elseif outcome == 'not_found' then
      call('ZREM', key, id)
    end
  end
  return { deleted, call('ZCARD', key) }
end
