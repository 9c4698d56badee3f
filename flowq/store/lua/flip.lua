-- flip: a staged run becomes visible with all its jobs, at one instant
-- edges: -
-- args: run nonce chunks plan directory_key fields*
-- guard: every chunk of this nonce is staged; the same nonce again is a duplicate
-- replies: {done | duplicate | conflict | wrong_state}
-- uses: release
function T.flip()
  local run, nonce, chunks, plan, directory, fields = A.text(), A.text(), A.number(), A.text(), A.text(), A.list()
  local key = K.run(run)
  local found = call('HMGET', key, 'status', 'nonce', 'chunks', 'cells')
  if found[1] and found[1] ~= 'staging' then return { found[2] == nonce and 'duplicate' or 'conflict' } end
  if found[1] and found[2] ~= nonce then return { 'conflict' } end
  if tonumber(found[3] or 0) ~= chunks then return { 'wrong_state' } end
  call('HSET', key, 'status', 'running', 'nonce', nonce, 'attempt', 1, 'created_at', now, 'started_at', now, 'cells', found[4] or 0,
    'open', found[4] or 0, 'outbox', 0, 'warnings', 0, unpack(fields))
  call('HSET', key, 'n:deferred', call('HGET', key, 'total'))
  call('SET', K.plan(run), plan)
  call('ZREM', K.timers(), 'collect|' .. run)
  call('ZADD', K.runs(), now, run)
  call('ZADD', K.run_ids(), 0, run)
  call('ZADD', K.directory(directory), now, run)
  L.event(run, '', '-', 'running', '', 0, 1)
  L.later('start', run)
  L.drain(100)
  return { 'done' }
end
