-- run/retry: applies the retry of a run, at one instant, however many jobs it resets
-- edges: failed -> deferred, stopped -> deferred, canceled -> deferred, skipped -> deferred, finished -> deferred
-- args: run nonce chunks attempt
-- guard: the run has ended with this attempt and all chunks of the nonce are staged; the same nonce again is a duplicate
-- replies: {done | duplicate | wrong_state | not_found}
-- uses: job/release_dependents lib/run_turns lib/kept_runs
-- The jobs themselves change in bounded steps from the outbox: armed first, started after. A run with a concurrency group waits for
-- its turn again, whatever its on_conflict says: the user asked for it.
function T.retry()
  local run, nonce, chunks, attempt = A.text(), A.text(), A.number(), A.number()
  local key = K.run(run)
  local found = call('HMGET', key, 'status', 'retry_nonce', 'retry_chunks', 'attempt', 'retry_applied', 'semaphore', 'max_runs', 'place')
  local status = found[1]
  if not status or status == 'staging' or status == 'collecting' then return { 'not_found' } end
  if found[5] == nonce then return { 'duplicate' } end
  if status == 'running' or status == 'queued' then return { 'wrong_state' } end
  if found[2] ~= nonce or tonumber(found[3]) ~= chunks or tonumber(found[4]) ~= attempt then return { 'wrong_state' } end
  call('HSET', key, 'attempt', attempt + 1, 'retry_applied', nonce)
  call('HDEL', key, 'cancel', 'ended_at', 'phase', 'outcome', 'idle_handlers', 'turned_away_by', 'unserved_since', 'expiry_step', 'expiry_cursor')
  call('ZREM', K.timers(), 'collect|' .. run, 'fade|' .. run)
  L.forget_run(run)
  if found[8] then call('ZADD', K.holders(found[8]), now, run) end -- an open run of its schedule again, without waiting: the user asked for it
  if not found[6] or L.enter_group(run, found[6], tonumber(found[7]), 'arm') then
    L.begin_run(run, 'arm', status, attempt + 1)
  else
    L.event(run, '', status, 'queued', 'retry', 0, attempt + 1)
  end
  L.drain(100)
  return { 'done' }
end
