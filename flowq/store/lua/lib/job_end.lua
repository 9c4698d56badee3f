-- lib/job_end: the end of a job: its record's expiry, the parents it held, and the follow-up work in the outbox
-- uses: lib/status lib/stats lib/outbox lib/conditions lib/run_cancellation lib/groups lib/webhooks

-- The record is needed beyond its ttl: dependents that have not ended, or failure callbacks of lost executions (`pending_callbacks`).
local function is_needed(job)
  return tonumber(job.open_dependents or 0) > 0 or tonumber(job.pending_callbacks or 0) > 0
end

-- How long the record of a plain job is kept after an end with this status, in ms; below 0 without a limit. One that was skipped is kept
-- like the failed one that it depends on: a requeue of that one revives it.
local function kept(job, status)
  if status == 'failed' or status == 'stopped' or status == 'skipped' then return tonumber(job.failure_ttl) or D.FAILURE_TTL end
  return tonumber(job.result_ttl) or D.RESULT_TTL
end

local RESULT = 3 -- its place among the keys of a job

-- Keys of a plain job that may exist, as its record tells; the expiry of one that does not exist changes nothing.
local function keys_of(job)
  local id = job.id
  if L.execution_of(job.token) ~= 1 then return L.keys_of(id) end
  local keys = { K.job(id), K.payload(id), K.result(id), K.meta_data(id) }
  if job.has_dependents then keys[#keys + 1] = K.children(id) end
  if job.pending or job.parents_released then keys[#keys + 1] = K.parents(id) end
  if job.logged then keys[#keys + 1] = K.logs(id) end
  return keys
end

-- Keys of a plain job that has ended and that is not needed any more live on for its ttl, then vanish by themselves. Returns that ttl, in ms; nil
-- if they stay.
function L.retire(job)
  if job.run or is_needed(job) then return end
  local ttl = kept(job, job.status)
  if ttl < 0 then return end
  if job.group_id then L.group_record(job, math.floor(ttl)) end
  ttl = math.floor(ttl)
  local keys = keys_of(job)
  if ttl == 0 then
    call('DEL', unpack(keys))
    call('ZREM', K.registry(job.status, job.queue), job.id)
    return ttl
  end
  for i = 1, #keys do
    if i ~= RESULT or not job.unwritten then call('PEXPIRE', keys[i], ttl) end
  end
  if job.open_dependents or job.pending_callbacks then -- it may have been kept beyond its time
    call('ZADD', K.registry(job.status, job.queue), 'XX', now + ttl, job.id)
  end
  return ttl
end

-- A parent that has ended and got a new dependent is kept until that one has ended too.
function L.keep(job)
  if job.group_id then L.group_record(job, nil) end
  for _, key in ipairs(L.keys_of(job.id)) do call('PERSIST', key) end
  call('ZADD', K.registry(job.status, job.queue), 'XX', '+inf', job.id)
end

-- Registries drop expired entries as they grow, each one from time to time; counts exclude them anyway.
local PAUSE, DROPPED, REMEMBERED = 50, 200, 1000 -- ms, entries at most, registries
local looked, number = {}, 0 -- outlives calls: it says only what need not be done again
local function drop_expired(registry)
  local last = looked[registry]
  if last and now >= last and now < last + PAUSE then return end
  if not last then number = number + 1 end
  if number > REMEMBERED then looked, number = {}, 1 end
  looked[registry] = now
  local old = call('ZRANGEBYSCORE', registry, '-inf', now, 'LIMIT', 0, DROPPED)
  if #old > 0 then call('ZREM', registry, unpack(old)) end
end

local function expiry(job, status)
  if job.run then return '+inf' end
  local ttl = kept(job, status)
  if ttl < 0 or is_needed(job) then return '+inf' end -- or kept for others: `retire` says until when
  drop_expired(K.registry(status, job.queue))
  return now + ttl
end

-- The failure callback of a lost execution has been called, or there is none any more.
function L.was_called(job)
  job.pending_callbacks = call('HINCRBY', K.job(job.id), 'pending_callbacks', -1)
  if L.ended(job.status) then L.retire(job) end
end

-- Wake the clients that wait for a result of a plain job.
function L.arrived(job)
  if not job.waiters then return end
  local key = K.arrived(job.id)
  for _ = 1, math.min(tonumber(job.waiters), 1000) do call('RPUSH', key, '') end
  call('PEXPIRE', key, 60000)
  call('HDEL', K.job(job.id), 'waiters')
  job.waiters = nil
end

-- A failure that does not fail the run: an allowed one, or one of a handler.
function L.is_warning(job)
  if job.status ~= 'failed' and job.status ~= 'stopped' then return false end
  return job.kind ~= 'group' and ((job.status == 'failed' and job.allowed == '1') or job.phase ~= nil)
end

local function end_of_member(job)
  L.add(job.run, 'open', -1)
  if job.status ~= 'failed' and job.status ~= 'stopped' then return end
  if L.is_warning(job) then L.add(job.run, 'warnings', 1) end
  if job.allowed ~= '1' then L.failed_fast(job) end
end

-- Edges to the parents that a plain job still holds: they are kept for it until its first end. A draft does not hold them.
function L.held_parents(job)
  if job.run or job.parents_released or job.status == 'created' or not job.pending then return {} end
  local edges = call('LRANGE', K.parents(job.id), 0, -1)
  if not job.revived then return edges end
  local held = {}
  for _, edge in ipairs(edges) do
    if not string.find(edge, '|met', -4, true) then held[#held + 1] = edge end
  end
  return held
end

-- Give an edge of a job another condition: `done` (any end will do) or `met` (the parent's record is not held any more).
function L.change_edge(id, parent, to)
  local key = K.parents(id)
  for _, condition in ipairs({ 'success', 'ran', 'done' }) do
    local edge = parent .. '|' .. condition
    if condition ~= to and call('LINSERT', key, 'BEFORE', edge, parent .. '|' .. to) > 0 then call('LREM', key, 1, edge) end
  end
end

-- `skipped` is the job that holds the edge, if it was skipped: should it be revived, an edge that holds now is `met`, also when the parent's
-- record has expired.
local function let_parent_go(edge, skipped)
  local id, condition = string.match(edge, '^(.*)|(%w+)$')
  local found = call('HMGET', K.job(id), 'status', 'open_dependents') -- the whole record only for the last one that held it
  local ended, held = found[1] and L.ended(found[1]), tonumber(found[2] or 0) > 0
  local last = held and call('HINCRBY', K.job(id), 'open_dependents', -1) <= 0
  if not ended or not (last or skipped) then return end
  local parent = L.load(id)
  if last then L.retire(parent) end
  if skipped and L.holds(parent, condition) then L.change_edge(skipped.id, id, 'met') end
end

-- Parents beyond the number that one call releases are kept in a list of their own: the job's keys may be deleted before.
local LET_GO = 100
local COPIED = 1000 -- arguments of one command

function L.let_parents_go(edges, skipped)
  for i = 1, math.min(#edges, LET_GO) do let_parent_go(edges[i], skipped) end
  if #edges <= LET_GO then return end
  local number = call('HINCRBY', KEYS[1], 'let_go', 1)
  for i = LET_GO + 1, #edges, COPIED do call('RPUSH', K.let_go(number), unpack(edges, i, math.min(i + COPIED - 1, #edges))) end
  L.push('let_go', skipped and number .. '|' .. skipped.id .. '|' .. L.mark(skipped) or number, 0)
end

-- `entry` is "<number>", or "<number>|<id>|<mark>" of a job that was skipped.
function L.step.let_go(entry, _, budget)
  local number, id, mark = string.match(entry, '^(%d+)|?([^|]*)|?([^|]*)$')
  local job = id ~= '' and L.load(id)
  local skipped = job and job.status == 'skipped' and L.mark(job) == mark and job or nil
  local edges = call('LRANGE', K.let_go(number), 0, budget - 1)
  for _, edge in ipairs(edges) do let_parent_go(edge, skipped) end
  call('LTRIM', K.let_go(number), budget, -1)
  return #edges, #edges == budget and 0 or nil
end

-- One series has all that is told of an end, so that it costs one call. A plain job has no flow. A local run has queues of its own, whose names
-- begin with its id.
local function count(job, was)
  local flow, queue = job.run and L.flow_of(job.run) or '', job.queue
  if job.run and string.sub(queue, 1, #job.run + 1) == job.run .. '/' then queue = string.sub(queue, #job.run + 2) end
  local times = '||'
  if was == 'started' then
    local began = tonumber(job.started_at) or now
    times = '|' .. L.bucket(now - began) .. '|' .. L.bucket(began - (tonumber(job.enqueued_at) or began))
  end
  L.count(L.series('job|' .. job.status .. '|' .. (job.reason or '') .. times, flow, queue), 1)
end

-- Write the result that `end_job` was given as `job.unwritten`: at once with its expiry, where that is known.
local function write_result(job, kept_for)
  local value
  value, job.unwritten = job.unwritten, nil
  if not kept_for then
    call('SET', K.result(job.id), value)
  elseif kept_for > 0 then
    call('SET', K.result(job.id), value, 'PX', kept_for)
  end
end

-- End a job. The follow-up work for other jobs goes to the outbox. Field `allow_failure`: any failure of its own is allowed; a foreach
-- that has cells has none of its own.
function L.end_job(job, status, reason, extra)
  extra = extra or {}
  extra[#extra + 1], extra[#extra + 2] = 'ended_at', now
  local parents = L.held_parents(job) -- before its keys may go
  local drafted = job.status == 'created' and call('EXISTS', K.parents(job.id)) == 1 -- which it never held
  if #parents > 0 or drafted then extra[#extra + 1], extra[#extra + 2] = 'parents_released', '1' end
  if job.allow_failure and job.kind ~= 'group' and status == 'failed' and reason ~= 'run_timeout' and job.allowed ~= '1' then
    extra[#extra + 1], extra[#extra + 2] = 'allowed', '1'
  end
  local was, kept_for = job.status, nil
  L.set_status(job, status, reason, expiry(job, status), extra)
  if job.kind ~= 'group' then count(job, was) end
  if job.run then end_of_member(job) end
  if job.webhooks then L.post(job, status) end
  if job.has_dependents then
    L.push('edges', job.id, 0, job.run, job.run and job) -- the record of a plain job may change until then
  else
    kept_for = L.retire(job)
  end
  if job.unwritten then write_result(job, kept_for) end
  if not job.run then
    L.let_parents_go(parents, status == 'skipped' and job or nil)
    L.arrived(job)
  end
end
