-- unclaim: a worker hands a job back that it cannot or may not execute; nothing is charged
-- edges: started -> queued, started -> canceled, started -> failed, started -> deferred, started -> rate_limited
-- args: id token
-- guard: the token is the job's current one
-- replies: {done | duplicate | fenced | not_found}
-- uses: release history finish
function T.unclaim()
  local id, token = A.text(), A.text()
  local job = L.load(id)
  local standing = L.standing(job, token)
  if standing == 'fenced' and job and job.token == token and job.outcome == 'unclaimed' then return { 'duplicate' } end
  if standing then return { standing } end
  call('HSET', K.job(id), 'outcome', 'unclaimed', 'attempt', tonumber(job.attempt) - 1)
  job.outcome, job.attempt = 'unclaimed', tonumber(job.attempt) - 1
  if job.cancel == '1' then L.end_job(job, L.killed(job)) else L.enqueue(job, nil, true) end
  L.drain(100)
  return { 'done' }
end
