-- group/await: registers a client that waits until all jobs of a group have ended
-- edges: -
-- args: name
-- guard: the group exists
-- replies: {complete | waiting | not_found (it has no jobs, or none any more)}
-- uses: lib/groups
function T.await()
  local name = A.text()
  local complete = L.group_complete(name)
  if complete == nil then return { 'not_found' } end
  if complete then return { 'complete' } end
  call('HINCRBY', K.group(name), 'waiters', 1)
  return { 'waiting' }
end
