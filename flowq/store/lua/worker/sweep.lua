-- worker/sweep: the sweep that one of the workers does every second: all work due by time, in bounded batches
-- edges: -
-- args: lease batch silent punctual turn queues*
-- guard: those of reap, promote, expire, lapse, time_out_run, fade and collect, each on its own
-- replies: {reaped, timers dealt with, released, 1 when more is due now, jobs to decide*, webhooks that are due, ms until this worker is to sweep again or -1, what was set aside lately (name text)*, ms in which it need not sweep because another one does}
-- uses: job/reap_expired_lease job/promote_scheduled job/expire_queued job/time_out_approval run/time_out run/expire_jobs run/collect_garbage lib/outages lib/set_back lib/audit lib/sweep_turns
-- memory: also when none is left
-- `silent` is how long (ms) a worker may be without a beat before it is off the list. With `punctual` the worker can come back at a given time.
-- `turn` is the worker that takes its turn, or '' for a sweep at once, whichever worker has the turn.
local DECIDE_AGAIN = 5000 -- a job handed out for its `if` is handed out again when no answer came in this time

-- A local run without a worker stays as it is until another one of its own starts, unless it is canceled: a worker of another run,
-- which waits for it, must not end it.
local LOOK_AGAIN = 1000 -- ms

local function is_of_others(run, queue, served)
  return run and queue and string.sub(queue, 1, #run + 1) == run .. '/' and not served[queue]
end

local function reap(id, served)
  local job = L.load(id)
  if job and is_of_others(job.run, job.queue, served) and not L.halted(job) then
    call('ZADD', K.leases(), 'XX', now + LOOK_AGAIN, id)
    return
  end
  L.reap(id)
end

-- Its record stays until it expires: one that was only frozen is on the list again with its next beat. A worker with longer leases than
-- the one that sweeps may be silent for longer. A beat in the future is of a clock that was set back: who lives beats again.
local function forget_silent_workers(silent, lease)
  local found = call('ZRANGEBYSCORE', K.workers(), '-inf', now - silent, 'WITHSCORES', 'LIMIT', 0, 500)
  for i = 1, #found, 2 do
    local name = found[i]
    local well, own = L.guarded('worker', name, call, 'HGET', K.worker(name), 'lease')
    if not well or tonumber(found[i + 1]) <= now - silent * math.max(1, (tonumber(own) or lease) / lease) then
      call('ZREM', K.workers(), name)
      call('DEL', K.call(name))
    end
  end
  call('ZREMRANGEBYSCORE', K.workers(), now + silent, '+inf')
end

local function fire(timer)
  local kind, id = string.match(timer, '^(%w+)|(.*)$')
  call('ZREM', K.timers(), timer)
  if kind == 'promote' then
    L.promote(id)
  elseif kind == 'expire' then
    L.expire(id)
  elseif kind == 'lapse' then
    L.lapse(id)
  elseif kind == 'timeout' then
    L.time_out_run(id)
  elseif kind == 'place' then
    L.check_place(id)
  elseif kind == 'slow' then
    L.check_pace(string.match(id, '^(%w+)|(.*)$'))
  elseif kind == 'admit' then
    L.push('admit', id, 0)
  elseif kind == 'vacate' then
    L.vacate(string.match(id, '^([^\n]*)\n(.*)$'))
  elseif kind == 'fade' then
    local _, more = L.fade(id, 100)
    return more == 1
  elseif kind == 'collect' then
    local _, more = L.collect(id, 100)
    return more == 1
  else
    error({ err = 'no timer' })
  end
  return false
end

-- When the next timer is due or a lease expires, if that is sooner than the next sweep; each time is given to one worker. Should it be
-- lost, the others' sweeps are not far. A lease of which less than LATE is left was not renewed when it should have been. A worker that
-- must leave the job alone is not told: it would put the lease off just before a worker that may take the job looks.
local AHEAD = 1250 -- ms
local LATE = 0.6 -- of a lease
local function alarm(lease, served)
  local at = call('ZRANGE', K.timers(), 0, 0, 'WITHSCORES')[2]
  local id, expires = unpack(call('ZRANGE', K.leases(), 0, 0, 'WITHSCORES'))
  if expires and tonumber(expires) < math.min(now + lease * LATE, tonumber(at) or math.huge) then
    local well, of = L.guarded('lease', id, call, 'HMGET', K.job(id), 'run', 'queue')
    if well and not is_of_others(of[1], of[2], served) then at = expires end
  end
  if not at or tonumber(at) > now + AHEAD or call('HGET', KEYS[1], 'alarm') == at then return -1 end
  call('HSET', KEYS[1], 'alarm', at)
  return math.max(0, tonumber(at) - now)
end

-- Each is given to one worker, which logs it; a client that sweeps has no queues.
local LATELY = 20
local function set_aside_lately()
  local out = {}
  for i = 1, 2 * LATELY, 2 do
    local name = call('LPOP', K.set_aside_lately())
    if not name then break end
    out[i], out[i + 1] = name, call('HGET', K.set_aside(), name) or ''
  end
  return out
end

function T.sweep()
  local lease, batch, silent, punctual, turn, served = A.number(), A.number(), A.number(), A.text() == '1', A.text(), {}
  local queues = A.list()
  for _, queue in ipairs(queues) do served[queue] = true end
  L.note_service(lease)
  local webhooks = call('ZCOUNT', K.webhooks(), '-inf', now)
  local standby = turn == '' and 0 or L.take_sweep_turn(turn)
  if standby > 0 then return { 0, 0, 0, 0, {}, webhooks, -1, {}, standby } end
  forget_silent_workers(silent, lease)
  local lost = call('ZRANGEBYSCORE', K.leases(), '-inf', now, 'LIMIT', 0, batch)
  for _, id in ipairs(lost) do
    if not L.guarded('lease', id, reap, id, served) then call('ZREM', K.leases(), id) end
  end
  local again = call('HEXISTS', KEYS[1], 'set_back') == 1 and L.bring_waits_back(DECIDE_AGAIN)
  local due = call('ZRANGEBYSCORE', K.timers(), '-inf', now, 'LIMIT', 0, batch)
  for _, timer in ipairs(due) do
    local _, more = L.guarded('timer', timer, fire, timer)
    again = more or again
  end
  L.audit(queues)
  local released, more = L.drain(100)
  local decide = call('ZRANGEBYSCORE', K.decide(), '-inf', now, 'LIMIT', 0, batch)
  for _, id in ipairs(decide) do call('ZADD', K.decide(), now + DECIDE_AGAIN, id) end
  if #lost == batch or #due == batch or #decide == batch or again then more = 1 end
  return { #lost, #due, released, more, decide, webhooks, punctual and alarm(lease, served) or -1, queues[1] and set_aside_lately() or {}, 0 }
end
