-- cancel: one job, wherever it is
-- edges: queued -> canceled, deferred -> canceled, scheduled -> canceled
-- args: id how
-- guard: the job has not ended
-- replies: {done | requested (a worker has to kill it first) | wrong_state | not_found}
-- uses: release
-- `how` is 1 to cancel, 2 to stop (a stopped plain job counts as failed for those who depend on it).
function T.cancel()
  local id, how = A.text(), A.text()
  local job = L.load(id)
  if not job then return { 'not_found' } end
  if L.ended(job.status) then return { 'wrong_state' } end
  if job.status == 'started' then
    call('HSET', K.job(id), 'cancel', how)
    L.call_worker(job.worker)
    return { 'requested' }
  end
  L.end_job(job, 'canceled', 'canceled')
  L.drain(100)
  return { 'done' }
end
