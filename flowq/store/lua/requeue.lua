-- requeue: a plain job that has ended is executed again from its first attempt
-- edges: failed -> queued, stopped -> queued, canceled -> queued, finished -> queued
-- args: id front
-- guard: ended, and not of a run (a run is retried as a whole)
-- replies: {done | wrong_state | not_found}
-- uses: release
function T.requeue()
  local id, front = A.text(), A.text() == '1'
  local job = L.load(id)
  if not job then return { 'not_found' } end
  if not L.ended(job.status) or job.status == 'skipped' or job.run then return { 'wrong_state' } end
  L.keep(job)
  call('HDEL', K.job(id), 'cancel', 'returns', 'allowed')
  job.attempt, job.allowed = 0, nil
  call('HSET', K.job(id), 'attempt', 0)
  L.enqueue(job, nil, front)
  L.drain(0)
  return { 'done' }
end
