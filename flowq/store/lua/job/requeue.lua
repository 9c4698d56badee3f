-- job/requeue: queues an ended plain job again from its first attempt
-- edges: failed -> queued, stopped -> queued, canceled -> queued, finished -> queued, skipped -> queued, failed -> rate_limited, stopped -> rate_limited, canceled -> rate_limited, finished -> rate_limited, skipped -> rate_limited
-- args: id front nonce
-- guard: ended, and not of a run (a run is retried as a whole); the same nonce again changes nothing
-- replies: {done | wrong_state | not_found}
-- uses: job/release_dependents
-- What was skipped because of it waits for it again. A skipped job is executed, whatever the jobs that it depends on did.
function T.requeue()
  local id, front, nonce = A.text(), A.text() == '1', A.text()
  local job = L.load(id)
  if not job then return { 'not_found' } end
  if job.request == nonce then return { 'done' } end
  if not L.ended(job.status) or job.run then return { 'wrong_state' } end
  L.keep(job)
  L.remember_end(job, true)
  if job.has_dependents and job.status ~= 'finished' then L.push('revive', id, 0) end
  call('HDEL', K.job(id), 'cancel', 'cancel_only', 'returns', 'allowed', 'repeated', 'started_at', 'ended_at', 'unlisted', 'front')
  job.attempt, job.allowed, job.front = 0, nil, front and '1' or nil
  call('HSET', K.job(id), 'attempt', 0, 'request', nonce)
  if front then call('HSET', K.job(id), 'front', '1') end
  L.enqueue(job, nil, front)
  L.drain(100)
  return { 'done' }
end
