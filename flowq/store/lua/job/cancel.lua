-- job/cancel: cancels one job in any status
-- edges: created -> canceled, queued -> canceled, deferred -> canceled, scheduled -> canceled, rate_limited -> canceled
-- args: id how release nonce execution
-- guard: the job has not ended, except by this very request; a group ends by its cells, a handler before its turn, or a draft without a queue, has nothing to cancel
-- replies: {done | requested (a worker has to kill it first) | wrong_state | not_found}
-- uses: job/release_dependents
-- memory: also when none is left
-- `how` is 1 to cancel, 2 to stop (a stopped plain job counts as failed for its dependents). With `release` the jobs
-- that wait for the job accept any end of it: a canceled job then holds no other job back. 2: the edges are removed, so that these jobs
-- wait for their other parents; one for which this edge is the last to be decided is skipped.
-- With `execution` only that one is stopped: when it has ended by itself, the next one is not.
local RELEASED = { ['1'] = '|done', ['2'] = '|removed' }

local function let_go(job, release)
  local key = K.children(job.id)
  for i, edge in ipairs(call('LRANGE', key, 0, -1)) do
    call('LSET', key, i - 1, (string.gsub(edge, '|%w+$', RELEASED[release])))
  end
end

local function before_its_turn(job)
  if not job.phase then return false end
  local phase = call('HGET', K.run(job.run), 'phase')
  return not phase or (job.phase == 'exit' and phase ~= 'exit')
end

function T.cancel()
  local id, how, release, nonce = A.text(), A.text(), A.text(), A.text()
  local execution = A.text()
  local job = L.load(id)
  if not job then return { 'not_found' } end
  if L.ended(job.status) then return { job.request == nonce and 'done' or 'wrong_state' } end
  if execution ~= '' and (job.status ~= 'started' or execution ~= tostring(L.execution_of(job.token))) then return { 'wrong_state' } end
  if job.kind == 'group' or job.queue == '' or before_its_turn(job) then return { 'wrong_state' } end
  if RELEASED[release] and job.has_dependents and not job.run then let_go(job, release) end
  if job.status == 'started' then
    call('HSET', K.job(id), 'cancel', how)
    if execution ~= '' then call('HSET', K.job(id), 'cancel_only', execution) end
    L.call_worker(job.worker)
    return { 'requested' }
  end
  L.end_job(job, 'canceled', 'canceled', { 'request', nonce })
  L.drain(100)
  return { 'done' }
end
