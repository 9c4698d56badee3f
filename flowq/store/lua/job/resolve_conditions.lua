-- job/resolve_conditions: applies the conditions that a supervisor has evaluated for a job whose edges hold: its `if`, its concurrency group, the message of an approval
-- edges: deferred -> queued, deferred -> skipped, deferred -> failed, deferred -> finished, deferred -> scheduled, deferred -> canceled
-- args: id verdict reason text sem message
-- guard: deferred, and handed out for a decision
-- replies: {done | wrong_state | not_found}
-- uses: job/release_dependents
-- verdict `go_on`, `skipped`, or `failed` with the text of the error. `sem` is "<max> <name>" of a concurrency group, or ''. A foreach
-- that continues is not decided but expanded.
function T.resolve_conditions()
  local id, verdict, reason, text, sem, message = A.text(), A.text(), A.text(), A.text(), A.text(), A.text()
  local job = L.load(id)
  if not job then return { 'not_found' } end
  if job.status ~= 'deferred' or not call('ZSCORE', K.decide(), id) then return { 'wrong_state' } end
  if job.kind == 'foreach' and verdict == 'go_on' then return { 'wrong_state' } end
  call('ZREM', K.decide(), id)
  if verdict == 'go_on' then
    if sem ~= '' then
      job.semaphores = (job.base_semaphores and job.base_semaphores .. '\n' or '') .. sem
      call('HSET', K.job(id), 'semaphores', job.semaphores)
    end
    if message ~= '' then call('HSET', K.job(id), 'message', message) end
    L.ready(job, true)
  else
    if text ~= '' then call('SET', K.result(id), text) end
    L.end_job(job, verdict, reason)
  end
  L.drain(100)
  return { 'done' }
end
