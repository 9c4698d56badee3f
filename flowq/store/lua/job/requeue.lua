-- job/requeue: queues an ended plain job again from its first attempt
-- edges: failed -> queued, stopped -> queued, canceled -> queued, finished -> queued, failed -> rate_limited, stopped -> rate_limited, canceled -> rate_limited, finished -> rate_limited
-- args: id front nonce
-- guard: ended, and not of a run (a run is retried as a whole); the same nonce again changes nothing
-- replies: {done | wrong_state | not_found}
-- uses: job/release_dependents
function T.requeue()
  local id, front, nonce = A.text(), A.text() == '1', A.text()
  local job = L.load(id)
  if not job then return { 'not_found' } end
  if job.request == nonce then return { 'done' } end
  if not L.ended(job.status) or job.status == 'skipped' or job.run then return { 'wrong_state' } end
  L.keep(job)
  L.remember_end(job)
  call('HDEL', K.job(id), 'cancel', 'cancel_only', 'returns', 'allowed', 'unlisted', 'repeated', 'started_at', 'ended_at')
  job.attempt, job.allowed = 0, nil
  call('HSET', K.job(id), 'attempt', 0, 'request', nonce)
  L.enqueue(job, nil, front)
  L.drain(0)
  return { 'done' }
end
