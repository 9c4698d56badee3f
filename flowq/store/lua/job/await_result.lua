-- job/await_result: registers a client that waits for a result of the job
-- edges: -
-- args: id
-- guard: the job exists
-- replies: {ready (there is one) | over (there will be none: it ended without being executed) | waiting | not_found}
-- uses: lib/status
function T.await_result()
  local id = A.text()
  local found = call('HMGET', K.job(id), 'status', 'outcome')
  if not found[1] then return { 'not_found' } end
  if found[2] and found[2] ~= 'unclaimed' then return { 'ready' } end
  if L.ended(found[1]) then return { 'over' } end
  call('HINCRBY', K.job(id), 'waiters', 1)
  return { 'waiting' }
end
