-- run/publish: makes a staged run visible with all its jobs, at one instant
-- edges: -
-- args: run nonce chunks directory_key fields* claim*
-- guard: every chunk of this nonce is staged, and the bundle is there; the same nonce again is a duplicate, unless the run is being deleted; for a slot those of lib/slot_claims
-- replies: {done | duplicate | conflict | wrong_state | suspended | too_early | busy | skipped, run in its place}
-- uses: job/release_dependents lib/run_turns lib/slot_claims
-- The fields `handlers:early` and `handlers:exit` count the handlers, which are outside the graph, by when they have their turn. With the
-- fields `semaphore` and `max_runs` (its concurrency group) the run begins when the group has room, or does what `on_conflict` says. `claim`
-- is empty, or says for which slot of a schedule the run is: what was decided about the slot is noted in this very step.
function L.bundle_of(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'bundle' then return fields[i + 1] end
  end
end

function T.publish()
  local run, nonce, chunks, directory, fields = A.text(), A.text(), A.number(), A.text(), A.list()
  local claim = L.read_claim(A.list())
  local key = K.run(run)
  local found = call('HMGET', key, 'status', 'nonce', 'chunks', 'cells')
  if found[1] and found[1] ~= 'staging' then
    return { found[2] == nonce and found[1] ~= 'collecting' and 'duplicate' or 'conflict', '' }
  end
  if found[1] and found[2] ~= nonce then return { 'conflict', '' } end
  if tonumber(found[3] or 0) ~= chunks then return { 'wrong_state', '' } end
  local bundle = L.bundle_of(fields)
  if bundle and call('EXISTS', K.bundle(bundle)) == 0 then return { 'wrong_state', '' } end
  local refusal, holder = L.check_claim(claim)
  if refusal and refusal ~= 'wait' then return { refusal, holder or '' } end
  local cells, handlers = tonumber(found[4] or 0), call('LLEN', K.handlers(run))
  call('HSET', key, 'nonce', nonce, 'attempt', 1, 'created_at', now, 'cells', cells, 'staged', cells, 'open', cells - handlers, 'outbox', 0,
    'warnings', 0, unpack(fields))
  call('HSET', key, 'jobs:deferred', call('HGET', key, 'total'))
  if bundle then
    call('SADD', K.bundle_runs(bundle), run)
    call('PERSIST', K.bundle(bundle))
  end
  call('ZREM', K.timers(), 'collect|' .. run)
  call('ZADD', K.runs(), now, run)
  call('ZADD', K.run_ids(), 0, run)
  call('ZADD', K.directory(directory), now, run)
  if L.take_slot(claim, run, refusal == 'wait') then L.take_turn(run, '-') end
  L.drain(100)
  return { 'done', '' }
end
