-- job/claim: gives the head of the first non-empty queue to a slot of a worker
-- edges: queued -> started, queued -> failed (its ttl has passed), queued -> canceled (its run is), queued -> skipped (its run stops), queued -> deferred (its place was given up meanwhile), queued -> rate_limited (likewise)
-- args: worker slot claim_id lease queues*
-- guard: not suspended (or not any more); the slot's same claim id gets the same answer again
-- replies: {names and values of its fields, then id, token, payload ('' for a job of a run)} or {} when every queue is empty
-- uses: job/release_dependents lib/execution_history
-- rights: hset zadd xadd
local SKIPS = 50 -- expired or stale entries passed over by one claim at most

local function repeated(worker, slot, claim_id)
  local last = call('HGET', K.worker(worker), 'claim:' .. slot)
  if not last then return nil end
  local cid, id = string.match(last, '^(%S+) (.*)$')
  if cid ~= claim_id then return nil end
  local job = L.load(id)
  if job and job.status == 'started' and string.match(job.token, '^%d+%-(.*)$') == cid then return L.claim_answer(job, job.token) end
  return {}
end

-- Start a job. `flat` are its fields as `load` gave them.
function L.start(job, flat, worker, claim_id, lease)
  local as_stored = not (job.token or job.reason or job.parked or job.cancel_only) -- of which none is removed now
  L.archive(job)
  L.had_turn(job)
  if job.cancel_only then
    call('HDEL', K.job(job.id), 'cancel', 'cancel_only')
    job.cancel, job.cancel_only = nil, nil
  end
  local execution = L.execution_of(job.token) + 1
  local token = execution .. '-' .. claim_id
  local attempt = L.whole(job.attempt) + 1
  job.token, job.attempt = token, attempt
  local changed = { 'token', token, 'attempt', attempt, 'worker', worker, 'started_at', now }
  L.set_status(job, 'started', nil, now + lease, changed)
  if as_stored then return L.answer_of(job, token, flat, changed) end
  return L.claim_answer(job, token)
end

-- Start a popped job, or the one of its run that its turn goes to, and return the reply; or move it to the status that is due.
local taken = nil -- per call: the job that is out of its queue
local function begin(worker, slot, claim_id, lease, id, place)
  taken = id
  local job, flat = L.load_flat(id)
  if job then job.popped = true end
  L.ask_for(L.TO_START, job and job.status == 'queued', flat)
  local first = job and job.status == 'queued' and job.rank and L.outranked(job, tonumber(place))
  if first then return begin(worker, slot, claim_id, lease, first, place) end
  if not job or job.status ~= 'queued' then
    L.set_aside('job', id, L.misplaced(job and job.status, 'queued')) -- the entry is gone with the pop
  elseif job.ttl and (tonumber(job.enqueued_at) or now) + tonumber(job.ttl) <= now then
    L.end_job(job, 'failed', 'expired')
  elseif L.halted(job) then
    L.halt(job, L.halted(job))
  elseif job.semaphores and not L.hold(job, true) then
    L.park(job, place) -- in its order among the waiting jobs
  else
    call('HSET', K.worker(worker), 'claim:' .. slot, claim_id .. ' ' .. id)
    return L.start(job, flat, worker, claim_id, lease)
  end
end

-- A call that is refused when it has seen the job must not lose it.
local function put_back(id, queue, place)
  if call('HGET', K.job(id), 'status') == 'queued' then call('ZADD', K.queue(queue), place, id) end
end

-- Returns the reply, and whether there is nothing left to claim in any of the queues.
function L.claim(worker, slot, claim_id, lease, queues)
  local again = repeated(worker, slot, claim_id)
  if again then return again end
  if suspended and (suspended == 'forever' or tonumber(suspended) > now) then return {} end
  L.ask(L.TO_START)
  local unseen = false
  for _, queue in ipairs(queues) do
    for pass = 1, SKIPS do
      local _, popped = L.guarded('queue', queue, call, 'ZPOPMIN', K.queue(queue))
      local id, place = unpack(popped or {})
      if not id then break end
      unseen = unseen or pass == SKIPS
      local well, started = pcall(begin, worker, slot, claim_id, lease, id, place)
      if well and started then return started end
      if not well then
        if L.forbidden(started) then put_back(taken, queue, place) end
        L.fault('job', taken, started)
      end
    end
  end
  if not unseen then
    for _, queue in ipairs(queues) do L.let_sleep(queue) end
  end
  return {}, not unseen
end

function T.claim()
  local worker, slot, claim_id, lease, queues = A.text(), A.text(), A.text(), A.number(), A.list()
  local reply, empty = L.claim(worker, slot, claim_id, lease, queues)
  if L.drain(100) > 0 and empty then -- jobs that the claim has met and ended have released others
    reply = L.claim(worker, slot, claim_id, lease, queues)
    L.drain(100)
  end
  return reply
end
