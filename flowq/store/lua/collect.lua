-- collect: the record of a run is past its retention, or its submitter died before the flip
-- edges: -
-- args: run limit
-- guard: the run has ended and its retention has passed, or it is still staged
-- replies: {done | wrong_state, 1 when jobs are left}
-- uses: jobs
-- The run disappears from the indexes first, its jobs in batches; a timer brings the rest.
function L.collect(run, limit)
  local key = K.run(run)
  local found = call('HMGET', key, 'status', 'cells', 'collected', 'directory_key', 'ended_at', 'retention')
  local status = found[1]
  if not status then return 'wrong_state', 0 end
  local due = status == 'staging' or status == 'collecting'
  local kept = tonumber(found[6]) or 0
  due = due or (status ~= 'running' and status ~= 'queued' and kept >= 0 and (tonumber(found[5]) or 0) + kept <= now)
  if not due then return 'wrong_state', 0 end
  call('ZREM', K.timers(), 'fade|' .. run)
  call('ZREM', K.runs(), run)
  call('ZREM', K.run_ids(), run)
  call('DEL', K.plan(run), K.events(run), K.logs(run), K.staging(run), K.handlers(run))
  if found[4] then call('ZREM', K.directory(found[4]), run) end
  local from, cells = tonumber(found[3] or 0), tonumber(found[2] or 0)
  local to = math.min(cells, from + limit)
  for ordinal = from, to - 1 do
    local id = run .. '-' .. ordinal
    local job = call('HMGET', K.job(id), 'status', 'origin')
    if job[1] and job[2] then
      call('ZREM', K.registry(job[1], job[2]), id)
      if string.sub(job[2], 1, #run + 1) == run .. '/' then
        call('SREM', K.queues(), job[2])
        call('DEL', K.wake(job[2]))
      end
    end
    call('DEL', K.items(id), unpack(L.keys_of(id)))
  end
  if to < cells then
    call('HSET', key, 'status', 'collecting', 'collected', to)
    call('ZADD', K.timers(), now, 'collect|' .. run)
    return 'done', 1
  end
  call('DEL', key)
  return 'done', 0
end

function T.collect()
  local outcome, more = L.collect(A.text(), A.number())
  return { outcome, more }
end
