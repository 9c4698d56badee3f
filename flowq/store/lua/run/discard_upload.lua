-- run/discard_upload: deletes the staged data of a retry that died before its flip
-- edges: -
-- args: run
-- guard: the run has ended
-- replies: {done | wrong_state | not_found}
-- uses: -
-- memory: also when none is left
-- A retry that is still alive finds its nonce deleted and is refused; the user may ask for it again.
function T.discard_upload()
  local run = A.text()
  local status = call('HGET', K.run(run), 'status')
  if not status or status == 'staging' or status == 'collecting' then return { 'not_found' } end
  if status == 'running' or status == 'queued' then return { 'wrong_state' } end
  call('UNLINK', K.staging(run), K.draft(run))
  call('HDEL', K.run(run), 'retry_nonce', 'retry_chunks')
  return { 'done' }
end
