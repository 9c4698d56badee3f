-- run/discard_upload: what a retry had staged when it died before its flip goes
-- edges: -
-- args: run
-- guard: the run has ended
-- replies: {done | wrong_state | not_found}
-- uses: -
-- A retry that is not dead after all finds its nonce gone, is refused, and may be asked for again.
function T.discard_upload()
  local run = A.text()
  local status = call('HGET', K.run(run), 'status')
  if not status or status == 'staging' or status == 'collecting' then return { 'not_found' } end
  if status == 'running' or status == 'queued' then return { 'wrong_state' } end
  call('UNLINK', K.staging(run))
  call('HDEL', K.run(run), 'retry_nonce', 'retry_chunks')
  return { 'done' }
end
