-- decide: the answer to a job's `if`
-- edges: deferred -> queued, deferred -> skipped, deferred -> failed, deferred -> finished, deferred -> scheduled, deferred -> canceled
-- args: id verdict reason text
-- guard: deferred, and handed out for a decision
-- replies: {done | wrong_state | not_found}
-- uses: release
-- verdict `go_on`, `skipped`, or `failed` with the text of the error.
function T.decide()
  local id, verdict, reason, text = A.text(), A.text(), A.text(), A.text()
  local job = L.load(id)
  if not job then return { 'not_found' } end
  if job.status ~= 'deferred' or not call('ZSCORE', K.decide(), id) then return { 'wrong_state' } end
  call('ZREM', K.decide(), id)
  if verdict == 'go_on' then
    L.ready(job, true)
  else
    if text ~= '' then call('SET', K.result(id), text) end
    L.end_job(job, verdict, reason)
  end
  L.drain(100)
  return { 'done' }
end
