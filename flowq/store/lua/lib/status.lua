-- lib/status: the structures a job can be in, and the one function that changes a status.
-- uses: lib/set_aside
-- Each status has exactly one structure: queued -> the queue; every other -> the registry of that
-- status and queue. A failed job with the field `unlisted`, a skipped job of a run and a group (it is a counter of the graph) are in none.
-- Started jobs are in `leases` too, scheduled ones in `timers`.

local ENDED = { finished = true, failed = true, stopped = true, canceled = true, skipped = true }
local EVENTS_KEPT = 200000 -- a run of 10,000 jobs writes about 40,000
local DIGITS = 15 -- of a count at most: a longer one is not exact as a number of Lua
local HINTS = 64 -- hints in a wake list at most: as many idle slots may wake at once

-- A job of its fields as a flat list. The table is made with room for what every job has, so that it does not grow field by field.
function L.record(id, flat)
  local job = {
    id = id, status = nil, queue = nil, nonce = nil, created_at = nil, pending = nil, timeout = nil, call = nil,
    enqueued_at = nil, token = nil, attempt = nil, worker = nil, started_at = nil, reason = nil, run = nil, outcome = nil,
  }
  for i = 1, #flat, 2 do job[flat[i]] = flat[i + 1] end
  return job
end

-- Returns a job, and its fields as the server gave them.
function L.load_flat(id)
  local flat = call('HGETALL', K.job(id))
  if #flat == 0 then return nil end
  return L.record(id, flat), flat
end

-- One value: a second one would become an argument of `f(L.load(id))`.
function L.load(id)
  local job = L.load_flat(id)
  return job
end

-- All keys of one job, its record first.
function L.keys_of(id)
  return {
    K.job(id), K.payload(id), K.result(id), K.results(id), K.ledger(id), K.children(id), K.parents(id), K.meta_data(id), K.logs(id),
  }
end

-- A count as it is stored; 0 of what is none, so that a damaged one cannot spoil what is counted on from it.
function L.whole(text)
  local digits = string.match(text or '', '^(%d+)$')
  return digits and #digits <= DIGITS and tonumber(digits) or 0
end

function L.execution_of(token)
  local digits = token and string.match(token, '^%d+')
  return digits and #digits <= DIGITS and tonumber(digits) or 0
end

function L.event(run, job, from, to, reason, execution, attempt)
  call('XADD', K.events(run or '-'), 'MAXLEN', '~', EVENTS_KEPT, '*',
    'j', job, 'f', from, 't', to, 'r', reason or '', 'x', execution or 0, 'a', attempt or 0)
end

-- Add one hint per queued job, capped; a waiting worker takes one and then claims. A lost hint is harmless: heartbeats renew them.
local hints = {} -- per call
function L.wake(queue)
  local key = K.wake(queue)
  local length = hints[key] or call('LLEN', key)
  hints[key] = length < HINTS and call('RPUSH', key, queue) or length
end

local function wake_for(queue, jobs)
  local key, names = K.wake(queue), {}
  for i = 1, math.min(jobs, HINTS - call('LLEN', key)) do names[i] = queue end
  if #names > 0 then hints[key] = call('RPUSH', key, unpack(names)) end
end

-- A queue has no job that a worker could claim.
function L.let_sleep(queue)
  local key = K.wake(queue)
  call('DEL', key)
  hints[key] = nil
end

-- Set a timer. If a sweep would notice it late, wake a waiting worker: it sweeps now and learns when to sweep again.
local SOON = 1000 -- ms, about the time between two sweeps
function L.set_timer(at, what)
  call('ZADD', K.timers(), at, what)
  if tonumber(at) < now + SOON then L.wake('@decide') end
end

function L.call_worker(name)
  if name and name ~= '' then
    local key = K.call(name)
    call('RPUSH', key, '')
    call('LTRIM', key, 0, 9)
    call('PEXPIRE', key, 60000)
  end
end

-- Order in a queue: higher priority first, then the sequence; the front of a priority counts downwards.
-- 2^42 sequence numbers and priorities of -1000..1000 stay exact in a double.
local SEQUENCES = 4398046511104
local reserved = 0 -- per call: the last one used of the sequence numbers that it has reserved
local reserved_to = 0 -- per call
local gathered = nil -- per call

local function base_of(job)
  return -(tonumber(job.priority) or 0) * SEQUENCES
end

function L.score(job, front)
  local base = base_of(job)
  if front then return base - call('HINCRBY', KEYS[1], 'front', 1) end
  if gathered and reserved < reserved_to then
    reserved = reserved + 1
    return base + reserved
  end
  return base + call('HINCRBY', KEYS[1], 'back', 1)
end

-- Gather the jobs that `deal` queues, about `count`, and put them into their queues at once. Meanwhile none of them may leave its queue.
function L.gather(count, deal)
  gathered, reserved_to = {}, call('HINCRBY', KEYS[1], 'back', count)
  reserved = reserved_to - count
  local well, result = pcall(deal)
  local queues = gathered
  gathered = nil
  for queue, entries in pairs(queues) do
    for i = 1, #entries, 1000 do call('ZADD', K.queue(queue), unpack(entries, i, math.min(i + 999, #entries))) end
    wake_for(queue, #entries / 2)
  end
  if not well then error(result, 0) end
  return result
end

-- Jobs of a run that have a rank are queued in their order, but a turn of one goes to that with the highest rank, of the same run, queue and
-- priority. `place` is that in the queue; a job at the front goes first, whatever its rank.
local RANKED_LIFE = 86400000 -- ms: entries that another version has left vanish

local function ranked(job)
  return K.ranked(job.run, job.priority or 0, job.queue)
end

local function order_of(job, sequence)
  return sequence - L.whole(job.rank) * SEQUENCES
end

local function rank(job, place)
  local sequence, key = place - base_of(job), ranked(job)
  if sequence <= 0 then return end
  call('ZADD', key, order_of(job, sequence), job.id)
  call('PEXPIRE', key, RANKED_LIFE)
end

-- A job with a rank has been taken out of its queue at this place. Returns the job that its turn goes to, which is taken out instead of it; nil:
-- it has the turn itself, also where its own entry is lost and those that are left are behind it.
function L.outranked(job, place)
  local sequence = place - base_of(job)
  if sequence <= 0 then return nil end
  local first, order = unpack(call('ZRANGE', ranked(job), 0, 0, 'WITHSCORES'))
  if not first or first == job.id or tonumber(order) > order_of(job, sequence) then return nil end
  local theirs = call('ZSCORE', K.queue(job.queue), first)
  if not theirs then
    call('ZREM', ranked(job), first)
    return nil
  end
  call('ZREM', K.queue(job.queue), first)
  call('ZADD', K.queue(job.queue), theirs, job.id) -- its order among its equals stays that in which they were queued
  return first
end

local function leave(job)
  local status, id, queue = job.status, job.id, job.queue
  if status == '-' then return end
  if status == 'queued' then
    if not job.popped then call('ZREM', K.queue(queue), id) end
    if job.rank then call('ZREM', ranked(job), id) end
    if job.ttl then
      call('ZREM', K.ttls(queue), id)
      call('ZREM', K.timers(), 'expire|' .. id)
    end
    return
  end
  if status == 'created' then
    for _, edge in ipairs(call('LRANGE', K.parents(id), 0, -1)) do call('SREM', K.drafted(string.match(edge, '^(.*)|')), id) end
    return
  end
  call('ZREM', K.registry(status, queue), id)
  if status == 'started' then
    call('ZREM', K.leases(), id)
  elseif status == 'scheduled' then
    call('ZREM', K.timers(), 'promote|' .. id)
  elseif status == 'deferred' then
    if job.needs_evaluation then call('ZREM', K.decide(), id) end
    if job.approval_timeout then call('ZREM', K.timers(), 'lapse|' .. id) end
  end
end

local listed = {} -- per call
function L.list_queue(queue)
  if not listed[queue] then call('SADD', K.queues(), queue) end
  listed[queue] = true
end

-- `score`: of queued the place in the queue, of started the lease, of scheduled the due time, of an end the expiry.
local function enter(job, score)
  local status, id, queue = job.status, job.id, job.queue
  if status == 'queued' then
    L.list_queue(queue)
    if gathered then
      local entries = gathered[queue] or {}
      gathered[queue] = entries
      entries[#entries + 1], entries[#entries + 2] = score, id
    else
      call('ZADD', K.queue(queue), score, id)
    end
    if job.rank then rank(job, score) end
    if job.ttl then
      local deadline = now + job.ttl
      call('ZADD', K.ttls(queue), deadline, id)
      call('ZADD', K.timers(), deadline, 'expire|' .. id)
    end
    if not gathered then L.wake(queue) end
    return
  end
  if status == 'failed' and job.unlisted or status == 'skipped' and job.run then return end
  call('ZADD', K.registry(status, queue), score, id)
  if status == 'started' then
    call('ZADD', K.leases(), score, id)
  elseif status == 'scheduled' then
    L.list_queue(queue)
    L.set_timer(score, 'promote|' .. id)
  end
end

-- Counters of runs are added up in memory and written once at the end of the script: one job that ends and one that starts in the
-- same call change `started` by nothing.
local sums = {} -- per call
function L.add(run, field, by)
  local of_run = sums[run]
  if not of_run then
    of_run = {}
    sums[run] = of_run
  end
  of_run[field] = (of_run[field] or 0) + by
end

-- Write the sums; `ended(run)` is called for each run that may have nothing open any more (a sum of 0 too: what was opened by
-- this call may have ended in it).
function L.write_sums(ended)
  if not next(sums) then return end
  for run, fields in pairs(sums) do
    for field, by in pairs(fields) do
      local value = by == 0 and 0
      if by ~= 0 then
        local _, sum = L.guarded('run', run, call, 'HINCRBY', K.run(run), field, by)
        value = sum
      end
      if value == 0 and (field == 'open' or field == 'outbox') then ended(run) end
    end
  end
  sums = {}
end

-- The one place where a status changes. `extra` is a flat list of further fields to write with it, which this may lengthen; `job.unstored`
-- those of a new job, whose record this makes.
function L.set_status(job, to, reason, score, extra)
  local from, had_reason = job.status, job.reason
  if job.kind ~= 'group' then leave(job) end
  job.status, job.reason = to, reason
  local fields, count = job.unstored, 0
  if fields then
    job.unstored, count = nil, #fields
  end
  if extra then
    local given = #extra
    for i = 1, given, 2 do
      local name, value = extra[i], extra[i + 1]
      job[name] = value
      if fields then
        fields[count + i], fields[count + i + 1] = name, value
      end
    end
    fields, count = fields or extra, count + given
  end
  fields = fields or {}
  fields[count + 1], fields[count + 2] = 'status', to
  if reason and reason ~= '' then
    fields[count + 3], fields[count + 4] = 'reason', reason
  elseif had_reason then
    call('HDEL', K.job(job.id), 'reason')
  end
  call('HSET', K.job(job.id), unpack(fields))
  if job.semaphores then L.semaphores_moved(job, from, to) end
  if job.rate_limit then L.limit_moved(job, from, to) end
  if job.group_id then L.group_moved(job, from, to) end
  if job.kind ~= 'group' then
    enter(job, score)
    if job.run then
      if from ~= '-' then L.add(job.run, 'jobs:' .. from, -1) end
      L.add(job.run, 'jobs:' .. to, 1)
      if had_reason == 'cached' then L.add(job.run, 'cached', -1) end
      if reason == 'cached' then L.add(job.run, 'cached', 1) end
      if job.gate then
        if from ~= '-' then L.add(job.run, 'gates:' .. from, -1) end
        L.add(job.run, 'gates:' .. to, 1)
      end
    end
    L.event(job.run, job.id, from, to, reason, L.execution_of(job.token), job.attempt)
  end
end

-- Remove a job from its structure before its record is deleted (or it becomes a group).
function L.forget(job, reason)
  leave(job)
  if job.semaphores then L.semaphores_moved(job, job.status, '-') end
  if job.rate_limit then L.limit_moved(job, job.status, '-') end
  if job.group_id then L.group_moved(job, job.status, '-') end
  L.event(job.run, job.id, job.status, '-', reason or 'deleted', L.execution_of(job.token), job.attempt)
end

-- Keep a deferred job waiting, for another reason.
function L.stay(job, reason, extra)
  if job.kind ~= 'group' then call('ZADD', K.registry('deferred', job.queue), now, job.id) end
  if not reason then return end
  extra = extra or {}
  extra[#extra + 1], extra[#extra + 2] = 'reason', reason
  for i = 1, #extra, 2 do job[extra[i]] = extra[i + 1] end
  call('HSET', K.job(job.id), unpack(extra))
end

function L.queue_now(job, reason, front)
  L.set_status(job, 'queued', reason, L.score(job, front or job.front == '1'), { 'enqueued_at', now })
end

-- Put a job into its queue, or among the waiters of its semaphores if they are full.
function L.enqueue(job, reason, front)
  if job.semaphores and (L.others_wait(job) or not L.hold(job, false)) then return L.park(job, L.score(job, front or job.front == '1')) end
  L.queue_now(job, reason, front)
end

function L.schedule(job, delay_ms, reason, extra)
  extra = extra or {}
  extra[#extra + 1], extra[#extra + 2] = 'due', now + delay_ms
  L.set_status(job, 'scheduled', reason, now + delay_ms, extra)
end

function L.ended(status)
  return ENDED[status] or false
end
