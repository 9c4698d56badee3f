-- job/release_dependents: what an end means for those who depend on it, in bounded steps
-- edges: deferred -> queued, deferred -> scheduled, deferred -> skipped, deferred -> canceled, deferred -> finished, deferred -> failed, queued -> skipped, queued -> canceled, queued -> failed, scheduled -> skipped, scheduled -> canceled, scheduled -> failed, - -> deferred, deferred -> rate_limited, rate_limited -> queued
-- args: budget
-- guard: a child is touched only while it is deferred; an edge is decided once, because the cursor over the parent's children moves in the same step
--   (of a plain job it is in the record, field `settled`: a second end goes on where the first one was)
-- replies: {edges and jobs dealt with, 1 when the outbox holds more}
-- uses: lib/status lib/outbox lib/semaphores lib/run_cancellation lib/run_lifecycle lib/foreach lib/groups lib/webhooks

-- What holds of a parent that has ended. A group has counted how its cells ended (fields g:…).
local function mixed(parent)
  return parent.kind == 'group' and parent.status == 'finished' and tonumber(parent['g:skipped'] or 0) > 0
end

local function holds(parent, condition)
  local status = parent.status
  local success = status == 'finished' or (status == 'failed' and parent.allowed == '1')
  local skipped = status == 'skipped'
  if mixed(parent) then return condition == 'ok' or condition == 'done' end
  if condition == 'success' then return success end
  if condition == 'ok' then return success or skipped end
  if condition == 'failure' then return (status == 'failed' or status == 'stopped') and not success end
  if condition == 'skipped' then return skipped end
  if condition == 'ran' then return success or status == 'failed' or status == 'stopped' end
  return true
end

local function reason_of(parent)
  local status = parent.status
  if mixed(parent) then return 'upstream_skipped' end
  if status == 'finished' or (status == 'failed' and parent.allowed == '1') then return 'upstream_finished' end
  if status == 'canceled' then return 'upstream_canceled' end
  if status == 'skipped' then return 'upstream_skipped' end
  return 'upstream_failed'
end

L.holds, L.reason_of = holds, reason_of

local function group_status(group)
  local function n(name) return tonumber(group['g:' .. name] or 0) end
  if n('failed') > 0 then return 'failed' end
  if n('canceled') > 0 then return 'canceled' end
  if n('skipped') > 0 and n('finished') == 0 then return 'skipped' end
  return 'finished'
end

-- The record is needed beyond its time: dependents that have not ended, or failure callbacks of lost executions (`uncalled`).
local function is_needed(job)
  return tonumber(job.refs or 0) > 0 or tonumber(job.uncalled or 0) > 0
end

-- Keys of a plain job that has ended and that is not needed any more live on for its ttl, then vanish by themselves.
local function retire(job)
  if job.run or is_needed(job) then return end
  local ttl = (job.status == 'failed' or job.status == 'stopped') and job.failure_ttl or job.result_ttl
  ttl = tonumber(ttl) or 500000
  if ttl < 0 then return end
  if job.group_id then L.group_record(job, math.floor(ttl)) end
  for _, key in ipairs(L.keys_of(job.id)) do
    if ttl == 0 then call('DEL', key) else call('PEXPIRE', key, math.floor(ttl)) end
  end
  if ttl == 0 then
    call('ZREM', K.registry(job.status, job.origin), job.id)
  elseif job.refs or job.uncalled then -- it may have been kept beyond its time
    call('ZADD', K.registry(job.status, job.origin), 'XX', now + math.floor(ttl), job.id)
  end
end

-- A parent that has ended and got a new dependent is kept until that one has ended too.
function L.keep(job)
  if job.group_id then L.group_record(job, nil) end
  for _, key in ipairs(L.keys_of(job.id)) do call('PERSIST', key) end
  call('ZADD', K.registry(job.status, job.origin), 'XX', '+inf', job.id)
end

local function expiry(job, status)
  if job.run then return '+inf' end
  local ttl = tonumber((status == 'failed' or status == 'stopped') and job.failure_ttl or job.result_ttl) or 500000
  if ttl < 0 or is_needed(job) then return '+inf' end -- or kept for others: `retire` says until when
  -- Registries shed what has expired as they grow; counts leave it out anyway.
  local registry = K.registry(status, job.origin)
  local old = call('ZRANGEBYSCORE', registry, '-inf', now, 'LIMIT', 0, 10)
  if #old > 0 then call('ZREM', registry, unpack(old)) end
  return now + ttl
end

-- The failure callback of a lost execution has been called, or there is none any more.
function L.was_called(job)
  job.uncalled = call('HINCRBY', K.job(job.id), 'uncalled', -1)
  if L.ended(job.status) then retire(job) end
end

-- Wake those who wait for a result of a plain job.
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

-- Edges to the parents that a plain job still holds: they are kept for it until its first end. A draft has not taken hold of them.
function L.held_parents(job)
  if job.run or job.freed or job.status == 'created' then return {} end
  return call('LRANGE', K.parents(job.id), 0, -1)
end

function L.let_parents_go(edges)
  for _, edge in ipairs(edges) do
    local parent = L.load(string.match(edge, '^(.*)|'))
    if parent and tonumber(parent.refs or 0) > 0 then
      parent.refs = call('HINCRBY', K.job(parent.id), 'refs', -1)
      if L.ended(parent.status) then retire(parent) end
    end
  end
end

-- A job comes to its end. Everything that follows for others is put on the list. Field `excuse`: any failure of its own is allowed.
function L.end_job(job, status, reason, extra)
  extra = extra or {}
  extra[#extra + 1], extra[#extra + 2] = 'ended_at', now
  local parents = L.held_parents(job) -- before its keys may go
  if #parents > 0 then extra[#extra + 1], extra[#extra + 2] = 'freed', '1' end
  if job.excuse and status == 'failed' and reason ~= 'run_timeout' and job.allowed ~= '1' then
    extra[#extra + 1], extra[#extra + 2] = 'allowed', '1'
  end
  L.set_status(job, status, reason, expiry(job, status), extra)
  if job.run then end_of_member(job) end
  if job.webhooks then L.post(job, status) end
  if job.kids then
    L.push('edges', job.id, 0, job.run)
  else
    retire(job)
  end
  if not job.run then
    L.let_parents_go(parents)
    L.arrived(job)
  end
end

-- All edges of a deferred job hold: it goes on. `decided`: a supervisor has evaluated what it had to.
function L.ready(job, decided)
  if job.kind == 'group' then return L.end_job(job, group_status(job), nil) end
  local mode = L.halted(job) or (L.cell_halted(job) and 'fail_fast')
  if mode then return L.halt(job, mode) end
  if job.verdict then return L.end_job(job, 'skipped', job.verdict) end -- of a retry, whose second walk has not come to it yet
  if job['if'] and not decided then
    L.stay(job)
    call('ZADD', K.decide(), now, job.id)
    L.wake('@decide')
    return
  end
  if job.kind == 'join' then return L.end_job(job, 'finished', nil) end
  if job.kind == 'approval' then
    if job.wait then call('ZADD', K.timers(), now + job.wait, 'lapse|' .. job.id) end
    return L.stay(job, 'approval', { 'asked_at', now })
  end
  if job.at and tonumber(job.at) > now then return L.schedule(job, tonumber(job.at) - now, 'delay') end
  if job.delay then return L.schedule(job, tonumber(job.delay), 'delay') end
  L.enqueue(job)
end

-- A group that has skipped members beside successful ones counts as both, as it would with its members in its place.
local function tally(group, parent)
  local key = K.job(group.id)
  local word = parent.status
  if mixed(parent) then
    group['g:skipped'] = call('HINCRBY', key, 'g:skipped', 1)
  elseif holds(parent, 'success') then
    word = 'finished'
  elseif word == 'stopped' then
    word = 'failed'
  end
  group['g:' .. word] = call('HINCRBY', key, 'g:' .. word, 1)
end

-- The edge of a plain job names its creation too: "<id>|<nonce>". Another job that has its id now is none of this parent's business.
local function decide_edge(parent, name, condition)
  local child_id, nonce = string.match(name, '^([^|]*)|?(.*)$')
  local child = L.load(child_id)
  if not child or child.status ~= 'deferred' or (nonce ~= '' and child.nonce ~= nonce) then return end
  if child.kind == 'group' then
    tally(child, parent)
  elseif not holds(parent, condition) then
    local mode = L.halted(child)
    if mode == '1' or mode == '2' then return L.halt(child, mode) end
    return L.end_job(child, 'skipped', reason_of(parent))
  end
  child.pending = call('HINCRBY', K.job(child_id), 'pending', -1)
  if child.pending == 0 then L.ready(child) end
end

local function decide_edges(parent, id, from, to)
  local edges = call('LRANGE', K.children(id), from, to)
  for _, edge in ipairs(edges) do
    local child, condition = string.match(edge, '^(.*)|(%w+)$')
    decide_edge(parent, child, condition)
  end
  return #edges
end

-- Whether edges of a plain job that has ended are still to be decided.
function L.unsettled(job)
  if not job.kids then return false end
  return tonumber(call('HGET', K.job(job.id), 'settled') or 0) < call('LLEN', K.children(job.id))
end

-- A plain job that has ended is about to wait again (requeued, or created again with its id). Edges that this end has not decided yet are
-- decided by it all the same, so the size of the fan-out makes no difference. Field `ends`: "<status>|<allowed>|<edges until here>;"….
function L.remember_end(job)
  if not L.unsettled(job) then return end
  job.ends = (job.ends or '') .. string.format('%s|%s|%d;', job.status, job.allowed or '0', call('LLEN', K.children(job.id)))
  call('HSET', K.job(job.id), 'ends', job.ends)
end

-- The plain job as it ended when that decided its edge number `at`, and the first edge that this end says nothing about (nil: it is
-- the latest). Nil when the next end will decide.
local function as_it_ended(job, at)
  for status, allowed, upto in string.gmatch(job.ends or '', '(%w+)|(%d)|(%d+);') do
    if at < tonumber(upto) then return { status = status, allowed = allowed }, tonumber(upto) end
  end
  return L.ended(job.status) and job or nil
end

local function edges_of_plain(job, cursor, budget)
  local key = K.job(job.id)
  local from = tonumber(job.settled or cursor)
  local ended, upto = as_it_ended(job, from)
  if not ended then
    call('HDEL', key, 'ends')
    return 0, nil
  end
  local did = decide_edges(ended, job.id, from, math.min(from + budget, upto or math.huge) - 1)
  -- The record may have gone with the last child. Entries of several ends share this cursor.
  if did > 0 and call('EXISTS', key) == 1 then call('HSET', key, 'settled', from + did) end
  if did == budget or from + did == upto then return did, from + did end
  if job.ends then call('HDEL', key, 'ends') end
  retire(job)
  return did, nil
end

-- Decide the edges below an ended job.
function L.step.edges(id, cursor, budget)
  local parent = L.load(id)
  if not parent then return 0, nil end
  if not parent.run then return edges_of_plain(parent, cursor, budget) end
  local did = decide_edges(parent, id, cursor, cursor + budget - 1)
  if did < budget then return did, nil end
  return did, cursor + did
end

-- A run has become visible: queue its roots, list the others as deferred. Handlers are not part of the graph, they wait for its end.
local function start_one(id)
  local job = L.load(id)
  if not job or job.status ~= 'deferred' then return end
  if job.phase then
    L.stay(job)
  elseif job.verdict then
    L.end_job(job, 'skipped', job.verdict)
  elseif tonumber(job.pending) == 0 then
    L.ready(job)
  else
    L.stay(job)
  end
end

function L.step.start(run, cursor, budget)
  local cells = tonumber(call('HGET', K.run(run), 'staged'))
  local last = math.min(cells, cursor + budget) - 1
  for ordinal = cursor, last do start_one(run .. '-' .. ordinal) end
  if last + 1 < cells then return budget, last + 1 end
  L.may_have_ended(run)
  return last + 1 - cursor, nil
end

-- A retry has been flipped: first every job of it is deferred again with its edges re-armed, then the roots start. Two walks,
-- because a root that ends between them must find its children armed.
-- An entry is "<ordinal> <undecided edges> <skip reason or -> <finished> <failed> <skipped> <canceled> <again> <fresh>"; the four are what
-- a group has counted of cells that stay as they are; `again` is 1 for a foreach whose list is evaluated again, `fresh` for a job that
-- takes over no earlier result from now on.
local TRACES = {
  'allowed', 'cancel', 'why', 'halt', 'returns', 'verdict', 'exit_code', 'worker', 'ended_at', 'started_at', 'enqueued_at', 'decided_by', 'decided_at',
  'decision', 'comment', 'asked_at', 'cache',
}

local function arm_one(run, entry)
  local field = {}
  for word in string.gmatch(entry, '%S+') do field[#field + 1] = word end
  local job = L.load(run .. '-' .. field[1])
  if not job or not L.ended(job.status) then return end
  if L.is_warning(job) then L.add(run, 'warnings', -1) end
  call('HDEL', K.job(job.id), unpack(TRACES))
  for _, name in ipairs(TRACES) do job[name] = nil end
  if field[8] == '1' and job.kind == 'group' then L.shrink(job) end
  local extra = { 'pending', field[2], 'attempt', 0 }
  if field[3] ~= '-' then extra[5], extra[6] = 'verdict', field[3] end
  if field[9] == '1' then extra[#extra + 1], extra[#extra + 2] = job.kind == 'foreach' and 'c:fresh' or 'fresh', '1' end
  if job.kind == 'group' then
    for i, name in ipairs({ 'finished', 'failed', 'skipped', 'canceled' }) do
      extra[#extra + 1], extra[#extra + 2] = 'g:' .. name, field[3 + i]
    end
  end
  L.set_status(job, 'deferred', nil, now, extra)
  if not job.phase then L.add(run, 'open', 1) end
end

function L.step.arm(run, cursor, budget)
  local entries = call('LRANGE', K.staging(run), cursor, cursor + budget - 1)
  for _, entry in ipairs(entries) do arm_one(run, entry) end
  if #entries < budget then
    L.push('restart', run, 0, run)
    return #entries, nil
  end
  return #entries, cursor + #entries
end

function L.step.restart(run, cursor, budget)
  local entries = call('LRANGE', K.staging(run), cursor, cursor + budget - 1)
  for _, entry in ipairs(entries) do start_one(run .. '-' .. string.match(entry, '^(%d+)')) end
  if #entries < budget then
    call('DEL', K.staging(run))
    L.may_have_ended(run)
    return #entries, nil
  end
  return #entries, cursor + #entries
end

function T.release_dependents()
  return { L.drain(A.number()) }
end
