-- group/leave: removes a job from its group
-- edges: -
-- args: id name
-- guard: it belongs to this one
-- replies: {done | wrong_state | not_found}
-- uses: lib/groups
-- memory: also when none is left
-- The job itself does not change.
function T.leave()
  local id, name = A.text(), A.text()
  local job = L.load(id)
  if not job then return { 'not_found' } end
  if job.group_id ~= name then return { 'wrong_state' } end
  L.group_moved(job, job.status, '-')
  call('HDEL', K.job(id), 'group_id')
  return { 'done' }
end
