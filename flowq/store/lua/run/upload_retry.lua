-- run/upload_retry: stages jobs of a run's next attempt, without effect until run/retry
-- edges: -
-- args: run nonce chunk piece entries*
-- guard: the run has ended; chunks of one nonce arrive in order, the first chunk of another nonce starts afresh
-- replies: {done | duplicate | wrong_state | not_found}
-- uses: -
-- `piece` is a piece of the plan that the run gets with this retry, or ''.
function T.upload_retry()
  local run, nonce, chunk, piece, entries = A.text(), A.text(), A.number(), A.text(), A.list()
  local found = call('HMGET', K.run(run), 'status', 'retry_nonce', 'retry_chunks')
  local status = found[1]
  if not status or status == 'staging' or status == 'collecting' then return { 'not_found' } end
  if status == 'running' or status == 'queued' then return { 'wrong_state' } end
  if chunk == 0 and found[2] ~= nonce then
    call('DEL', K.staging(run), K.draft(run))
    call('HSET', K.run(run), 'retry_nonce', nonce, 'retry_chunks', 0)
    found[2], found[3] = nonce, 0
  end
  if found[2] ~= nonce then return { 'wrong_state' } end
  if tonumber(found[3]) > chunk then return { 'duplicate' } end
  for _, entry in ipairs(entries) do call('RPUSH', K.staging(run), entry) end
  if piece ~= '' then call('APPEND', K.draft(run), piece) end
  call('HSET', K.run(run), 'retry_chunks', chunk + 1)
  return { 'done' }
end
