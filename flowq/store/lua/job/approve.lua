-- job/approve: records a user's decision about an approval
-- edges: deferred -> finished, deferred -> failed
-- args: id nonce verdict value by comment
-- guard: an approval that waits for its decision; the same nonce again is a duplicate
-- replies: {done | duplicate | wrong_state | not_found}
-- uses: job/release_dependents
-- verdict `approve` (the value is its result) or `reject` (the value is the text of the error).
function T.approve()
  local id, nonce, verdict, value, by, comment = A.text(), A.text(), A.text(), A.text(), A.text(), A.text()
  local job = L.load(id)
  if not job then return { 'not_found' } end
  if job.decision == nonce then return { 'duplicate' } end
  if job.kind ~= 'approval' or job.status ~= 'deferred' or job.reason ~= 'approval' then return { 'wrong_state' } end
  call('SET', K.result(id), value)
  local extra = { 'decision', nonce, 'decided_by', by, 'decided_at', now, 'comment', comment }
  if verdict == 'approve' then L.end_job(job, 'finished', nil, extra) else L.end_job(job, 'failed', 'rejected', extra) end
  L.drain(100)
  return { 'done' }
end
