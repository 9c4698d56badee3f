-- lib/semaphores: the one limiter: holders by id, waiters in order, several semaphores taken all or nothing
-- uses: lib/outbox lib/rate_limits
-- A job's field `semaphores` is one line "<max> <name>" per semaphore. It asks when it would be queued. Holding, it is queued and then
-- started; a place in a queue is held for RESERVED only, so that a queue without workers holds no other job up, and is
-- confirmed by the claim. A job that finds a semaphore full waits `deferred`, in no queue. The transition that takes a job
-- out of queued or started (a worker's report, a sweep, a cancel) releases its semaphores in the same step, so no crash leaks one.
-- A plain job waits `rate_limited` and not deferred. Names: "rate/<key>" (its room is what `limits` says), "job/<group>" and "run/<group>" over all runs, "cells/<job id>" (max_parallel: its cells have one queue, nothing expires).
local RESERVED = 10000 -- ms
local HOLDING = { queued = true, started = true }
local WAITING = { deferred = true, rate_limited = true }

local function each(job)
  local list = {}
  for max, name in string.gmatch(job.semaphores, '(%d+) ([^\n]+)') do
    list[#list + 1] = { name = name, max = tonumber(max), limited = string.sub(name, 1, 5) == 'rate/' }
  end
  return list
end

local function room(sem, job, started)
  local key = K.holders(sem.name)
  call('ZREMRANGEBYSCORE', key, '-inf', now)
  if sem.limited then return L.limit_room(sem.name, job, started) end
  return call('ZCARD', key) < sem.max or (call('ZSCORE', key, job.id) and true or false)
end

-- Take all semaphores of a job or none. `started`: for an execution, else for a place in a queue.
function L.hold(job, started)
  local list = each(job)
  for _, sem in ipairs(list) do
    if not room(sem, job, started) then return false end
  end
  for _, sem in ipairs(list) do
    local for_ever = started or string.sub(sem.name, 1, 6) == 'cells/'
    call('ZADD', K.holders(sem.name), for_ever and '+inf' or now + RESERVED, job.id)
    if sem.limited and started then L.limit_started(sem.name, job) end
  end
  return true
end

-- Check again when the first place in a queue expires, or a period ends.
local function look_again(name)
  -- Places that were given while the clock was ahead would be kept until then.
  local lost = call('ZREMRANGEBYSCORE', K.holders(name), '(' .. now + RESERVED, '(+inf')
  local first = lost > 0 and now or tonumber(call('ZRANGEBYSCORE', K.holders(name), now, '(+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2])
  local frees = string.sub(name, 1, 5) == 'rate/' and L.limit_frees(name)
  if frees and (not first or frees < first) then first = frees end
  if first then L.set_timer(string.format('%.0f', first), 'admit|' .. name) end
end

-- Wait in all of the job's semaphores, at its earlier position if it had one.
function L.park(job, score)
  for _, sem in ipairs(each(job)) do
    call('ZADD', K.waiters(sem.name), 'NX', job.parked or score, job.id)
    look_again(sem.name)
  end
  if job.rate_limit then return L.set_status(job, 'rate_limited', nil, now, { 'parked', job.parked or score }) end
  local reason = string.find(job.semaphores, ' cells/', 1, true) and not string.find(job.semaphores, ' job/', 1, true) and 'max_parallel' or 'concurrency'
  local extra = { 'parked', job.parked or score }
  if job.status == 'deferred' then
    L.stay(job, reason, extra)
  else
    L.set_status(job, 'deferred', reason, now, extra)
  end
end

-- Part of every change of status of a job that has semaphores.
function L.semaphores_moved(job, from, to)
  if HOLDING[from] and not HOLDING[to] then
    for _, sem in ipairs(each(job)) do
      call('ZREM', K.holders(sem.name), job.id)
      if call('EXISTS', K.waiters(sem.name)) == 1 then L.push('admit', sem.name, 0) end
    end
  end
  if job.parked and not WAITING[to] then
    for _, sem in ipairs(each(job)) do call('ZREM', K.waiters(sem.name), job.id) end
    if not HOLDING[to] then
      call('HDEL', K.job(job.id), 'parked')
      job.parked = nil
    end
  end
end

-- The holder in place of a deleted job whose process still runs.
function L.place_of(id, token)
  return id .. '|' .. token
end

function L.vacate(name, place)
  call('ZREM', K.timers(), 'vacate|' .. name .. '\n' .. place)
  if call('ZREM', K.holders(name), place) == 0 then return false end
  if call('EXISTS', K.waiters(name)) == 1 then L.push('admit', name, 0) end
  return true
end

-- Keep the place of a deleted started job with a rate limit until its worker reports that the process has ended, or must have
-- killed it because the lease has expired.
function L.keep_place(job, lease)
  local name, place = string.match(job.semaphores, ' ([^\n]+)'), L.place_of(job.id, job.token)
  call('ZADD', K.holders(name), '+inf', place)
  call('ZADD', K.timers(), lease, 'vacate|' .. name .. '\n' .. place)
end

-- Drop a started job's position: next time it waits behind the others.
function L.had_turn(job)
  if job.parked then
    call('HDEL', K.job(job.id), 'parked')
    job.parked = nil
  end
end

-- Returns nil if the job no longer waits, else whether it was admitted, and how many may hold this semaphore at once.
local function admit_job(id, name)
  local job = L.load(id)
  if not job or not WAITING[job.status] or not job.parked then return nil end
  if L.hold(job, false) then
    L.queue_now(job)
    return true
  end
  for _, sem in ipairs(each(job)) do
    if sem.name == name then return false, room(sem, job, false) end
  end
  return nil
end

-- Admit waiters in order, up to the first without room. A waiter that another semaphore holds back is skipped.
function L.step.admit(name, cursor, budget)
  local of_runs = string.sub(name, 1, 4) == 'run/' or string.sub(name, 1, 9) == 'schedule/'
  local admit = of_runs and L.admit_run or admit_job
  local some = math.min(budget, 20)
  local waiting = call('ZRANGE', K.waiters(name), cursor, cursor + some - 1)
  for i, id in ipairs(waiting) do
    local admitted, has_room = admit(id, name)
    if admitted == nil then
      call('ZREM', K.waiters(name), id)
    elseif not admitted and not has_room then
      look_again(name)
      return i, nil
    elseif not admitted then
      cursor = cursor + 1
    end
  end
  if #waiting < some then return math.max(#waiting, 1), nil end
  return #waiting, cursor
end
