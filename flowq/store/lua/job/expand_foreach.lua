-- job/expand_foreach: turns a foreach whose list is known into a group of cells
-- edges: deferred -> -, - -> deferred (the cells), deferred -> finished
-- args: id nonce count
-- guard: a foreach that waits for its list, all of whose items are staged under this nonce; the same nonce again is a duplicate
-- replies: {done | duplicate | wrong_state | not_found}
-- uses: job/release_dependents job/upload_foreach_items
-- The cells get the next ordinals of the run, at one instant; they are made in bounded steps from the outbox. With an empty list the job
-- stays one job, which succeeds.
function T.expand_foreach()
  local id, nonce, count = A.text(), A.text(), A.number()
  local job = L.load(id)
  if not job then return { 'not_found' } end
  if job.expanded == nonce then return { 'duplicate' } end
  if not L.waits_for_list(job) then return { 'wrong_state' } end
  if count > 0 and (job.items ~= nonce or call('HLEN', K.items(id)) ~= count) then return { 'wrong_state' } end
  local first = call('HINCRBY', K.run(job.run), 'cells', count) - count
  if count == 0 then
    L.end_job(job, 'finished', nil, { 'expanded', nonce, 'members', first .. ' 0' })
    L.drain(100)
    return { 'done' }
  end
  L.forget(job, 'expanded')
  L.add(job.run, 'jobs:deferred', -1)
  L.add(job.run, 'total', -1)
  call('HSET', K.job(id), 'kind', 'group', 'expanded', nonce, 'members', first .. ' ' .. count, 'pending', count)
  call('HDEL', K.job(id), 'items', 'item_chunks', 'reason')
  job.kind, job.pending = 'group', count
  L.push('cells', id, 0, job.run)
  L.drain(100)
  return { 'done' }
end
