-- run/expire_jobs: deletes jobs of an ended run that expire before the run's record (result_ttl, failure_ttl)
-- edges: -
-- args: run limit
-- guard: the run has ended, and the next of its jobs' times (field `expiry_times`, ms after the end, ascending) has passed
-- replies: {done | wrong_state, 1 when jobs are left}
-- uses: lib/status lib/artifacts
-- memory: also when none is left
-- Each time is one walk over the run's jobs, in batches; a timer brings the next. The run counts what is gone by how it had ended, in
-- the fields `expired:…`, so that its own counters stay what the run came to.
local function fade_one(run, ordinal, passed)
  local id = L.member(run, ordinal)
  local job = call('HMGET', K.job(id), 'status', 'queue', 'keep', 'keep_failed', 'artifacts')
  local status = job[1]
  if not status or not L.ended(status) then return end
  local failed = status == 'failed' or status == 'stopped'
  local keep = tonumber(job[failed and 4 or 3] or nil)
  if not keep or keep > passed then return end
  call('ZREM', K.registry(status, job[2]), id)
  if job[5] then L.drop_artifacts(id) end
  call('DEL', unpack(L.keys_of(id)))
  call('HINCRBY', K.run(run), 'expired:' .. status, 1)
end

function L.fade(run, limit)
  local key = K.run(run)
  local found = call('HMGET', key, 'status', 'ended_at', 'expiry_times', 'expiry_step', 'expiry_cursor', 'cells')
  if not found[2] or not found[3] or found[1] == 'running' or found[1] == 'queued' or found[1] == 'collecting' then return 'wrong_state', 0 end
  local times = {}
  for time in string.gmatch(found[3], '%d+') do times[#times + 1] = tonumber(time) end
  local index, from, cells = tonumber(found[4] or 1), tonumber(found[5] or 0), tonumber(found[6] or 0)
  local ended = tonumber(found[2])
  if not times[index] or ended + times[index] > now then return 'wrong_state', 0 end
  local to = math.min(cells, from + limit)
  for ordinal = from, to - 1 do fade_one(run, ordinal, times[index]) end
  if to < cells then
    call('HSET', key, 'expiry_step', index, 'expiry_cursor', to)
    call('ZADD', K.timers(), now, 'fade|' .. run)
    return 'done', 1
  end
  call('HSET', key, 'expiry_step', index + 1, 'expiry_cursor', 0)
  if times[index + 1] then call('ZADD', K.timers(), ended + times[index + 1], 'fade|' .. run) end
  return 'done', 0
end

function T.expire_jobs()
  local outcome, more = L.fade(A.text(), A.number())
  return { outcome, more }
end
