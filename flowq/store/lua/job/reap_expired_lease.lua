-- job/reap_expired_lease: ends an execution whose lease has expired as lost
-- edges: started -> queued, started -> scheduled, started -> failed, started -> canceled, started -> stopped, started -> deferred, started -> rate_limited
-- args: id
-- guard: started, and its lease has run out
-- replies: {done | wrong_state}
-- uses: job/release_dependents lib/execution_history lib/retry job/finish
-- A lost execution counts as an attempt. With retries left the job goes to the head of its queue (recovery must not wait behind
-- everything that came later), after its retry interval when it has one. Its failure callback is left to the workers of its queue; until
-- it was called the record stays, whatever its ttl.
function L.reap(id)
  local lease = tonumber(call('ZSCORE', K.leases(), id) or now + 1)
  local job = L.load(id)
  if not job or job.status ~= 'started' then
    L.set_aside('lease', id, L.misplaced(job and job.status, 'started'))
    call('ZREM', K.leases(), id)
    return 'wrong_state'
  end
  if lease > now then return 'wrong_state' end
  local text = 'AbandonedJobError: the worker ' .. (job.worker or '?') .. ' that executed this job was lost (no heartbeat within the lease)'
  call('SET', K.result(id), text)
  call('HSET', K.job(id), 'outcome', 'lost')
  job.outcome = 'lost'
  L.count(L.series('lost', ''), 1)
  if job.cancel == '1' then
    L.end_job(job, L.killed(job))
  elseif job.cancel == '2' then
    L.end_job(job, 'stopped', 'canceled')
  else
    if job.on_failure and not job.run then
      call('ZADD', K.callbacks(job.queue), now, L.execution_of(job.token) .. ':' .. job.nonce .. '|' .. id)
      job.pending_callbacks = call('HINCRBY', K.job(id), 'pending_callbacks', 1)
    end
    if not L.retry(job, true) then L.end_job(job, 'failed', 'abandoned') end
  end
  return 'done'
end

function T.reap_expired_lease()
  local outcome = L.reap(A.text())
  L.drain(100)
  return { outcome }
end
