-- queue/empty: deletes jobs that wait in a queue, or for a rate limit on their way into it, a batch per call
-- edges: -
-- args: queue status offset limit
-- guard: that of delete, for each job; jobs of runs stay
-- replies: {jobs deleted, jobs that stay}
-- uses: job/delete
-- memory: also when none is left
-- A composite: each job goes as if it had been deleted by itself, so its dependents are decided. `status` is queued or rate_limited; `offset`
-- is how many jobs were left where they are by earlier calls.
function T.empty()
  local queue, status, offset, limit = A.text(), A.text(), A.number(), A.number()
  local key = status == 'queued' and K.queue(queue) or K.registry(status, queue)
  local deleted, stay = 0, 0
  for _, id in ipairs(call('ZRANGE', key, offset, offset + limit - 1)) do
    local outcome = L.delete(id)
    if outcome == 'wrong_state' then
      stay = stay + 1
    elseif outcome == 'not_found' then
      call('ZREM', key, id)
    else -- or `more`: of one with very many dependents the record goes by its ttl
      deleted = deleted + 1
    end
  end
  return { deleted, stay }
end
