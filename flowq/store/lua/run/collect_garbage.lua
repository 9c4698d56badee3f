-- run/collect_garbage: deletes a run that is past its retention, or whose submitter died before the flip
-- edges: -
-- args: run limit
-- guard: the run has ended and its retention has passed, or newer ones are kept in its place; or it is still staged, or it is on its way out already
-- replies: {done | wrong_state, 1 when jobs are left}
-- uses: lib/status lib/kept_runs lib/artifacts
-- memory: also when none is left
-- The run is removed from the indexes first, then its jobs in batches; a timer continues with the rest.
local function forget_member(run, id)
  local job = call('HMGET', K.job(id), 'status', 'queue', 'artifacts')
  if job[1] and job[2] then
    call('ZREM', K.registry(job[1], job[2]), id)
    if string.sub(job[2], 1, #run + 1) == run .. '/' then
      call('SREM', K.queues(), job[2])
      call('DEL', K.wake(job[2]))
    end
  end
  if job[3] then L.drop_artifacts(id) end
  call('DEL', K.items(id), unpack(L.keys_of(id)))
end

-- A bundle that no other run has stays for an hour, as one that is about to be submitted: see bundle/keep.
function L.let_go_of_bundle(bundle, run)
  if call('SREM', K.bundle_runs(bundle), run) == 1 and call('SCARD', K.bundle_runs(bundle)) == 0 then
    call('PEXPIRE', K.bundle(bundle), 3600000)
  end
end

-- Delete `limit` jobs of a run; returns 1 when some are left.
function L.dismantle(run, limit)
  local key = K.run(run)
  local found = call('HMGET', key, 'cells', 'collected', 'directory_key', 'bundle', 'flow', 'file')
  call('ZREM', K.timers(), 'fade|' .. run)
  L.forget_run(run)
  call('ZREM', K.runs(), run)
  call('ZREM', K.run_ids(), run)
  call('UNLINK', K.plan(run), K.events(run), K.logs(run), K.staging(run), K.draft(run), K.handlers(run)) -- streams may be long
  if found[3] then call('ZREM', K.directory(found[3]), run) end
  if found[4] then L.let_go_of_bundle(found[4], run) end
  local flow = found[6] or found[5]
  if flow and call('HGET', K.latest(), flow) == run then call('HDEL', K.latest(), flow) end
  local from, cells = tonumber(found[2] or 0), tonumber(found[1] or 0)
  local to = math.min(cells, from + limit)
  for ordinal = from, to - 1 do forget_member(run, L.member(run, ordinal)) end
  if to < cells then
    call('HSET', key, 'status', 'collecting', 'collected', to)
    call('ZADD', K.timers(), now, 'collect|' .. run)
    return 1
  end
  call('ZREM', K.timers(), 'collect|' .. run)
  call('DEL', key)
  return 0
end

function L.collect(run, limit)
  local found = call('HMGET', K.run(run), 'status', 'ended_at', 'retention', 'surplus')
  local status = found[1]
  if not status then return 'wrong_state', 0 end
  local due = status == 'staging' or status == 'collecting'
  local kept = tonumber(found[3]) or 0
  local ended = status ~= 'running' and status ~= 'queued'
  due = due or (ended and (found[4] or (kept >= 0 and (tonumber(found[2]) or 0) + kept <= now)))
  if not due then return 'wrong_state', 0 end
  return 'done', L.dismantle(run, limit)
end

function T.collect_garbage()
  local outcome, more = L.collect(A.text(), A.number())
  return { outcome, more }
end
