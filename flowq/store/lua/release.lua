-- release: what an end means for those who depend on it, in bounded steps
-- edges: deferred -> queued, deferred -> scheduled, deferred -> skipped, deferred -> canceled, deferred -> finished, deferred -> failed
-- args: budget
-- guard: a child is touched only while it is deferred; an edge is decided once, because the cursor over the parent's children moves in the same step
-- replies: {edges and jobs dealt with, 1 when the outbox holds more}
-- uses: jobs
-- Work that one transition makes is taken from a list in memory first; what the budget does not cover goes to the outbox with its
-- cursor, and any worker's sweep goes on there. A run counts its entries and cannot end before they are gone.

local todo, todo_at = {}, 1
local may_have_ended = {}

local function push(kind, id, cursor, run)
  todo[#todo + 1] = { kind = kind, id = id, cursor = cursor, run = run }
end

local asked = {}
local function canceling(run)
  if not run then return false end
  if asked[run] == nil then asked[run] = call('HGET', K.run(run), 'cancel') == '1' end
  return asked[run]
end

-- What holds of a parent that has ended. A group has counted how its cells ended (fields g:…).
local function holds(parent, condition)
  local status = parent.status
  local success = status == 'finished' or (status == 'failed' and parent.allowed == '1')
  local skipped = status == 'skipped'
  if parent.kind == 'group' and status == 'finished' and tonumber(parent['g:skipped'] or 0) > 0 then
    return condition == 'ok' or condition == 'done'
  end
  if condition == 'success' then return success end
  if condition == 'ok' then return success or skipped end
  if condition == 'failure' then return (status == 'failed' or status == 'stopped') and not success end
  if condition == 'skipped' then return skipped end
  if condition == 'ran' then return success or status == 'failed' or status == 'stopped' end
  return true
end

local function reason_of(parent)
  local status = parent.status
  if status == 'finished' and parent.kind == 'group' and tonumber(parent['g:skipped'] or 0) > 0 then return 'upstream_skipped' end
  if status == 'finished' or (status == 'failed' and parent.allowed == '1') then return 'upstream_finished' end
  if status == 'canceled' then return 'upstream_canceled' end
  if status == 'skipped' then return 'upstream_skipped' end
  return 'upstream_failed'
end

L.holds, L.reason_of, L.canceling = holds, reason_of, canceling

local function group_status(group)
  local function n(name) return tonumber(group['g:' .. name] or 0) end
  if n('failed') > 0 then return 'failed' end
  if n('canceled') > 0 then return 'canceled' end
  if n('skipped') > 0 and n('finished') == 0 then return 'skipped' end
  return 'finished'
end

-- Keys of a plain job that has ended and that nobody needs any more live on for its ttl, then vanish by themselves.
local function retire(job)
  if job.run then return end
  if tonumber(job.refs or 0) > 0 then return end
  local ttl = (job.status == 'failed' or job.status == 'stopped') and job.failure_ttl or job.result_ttl
  ttl = tonumber(ttl) or 500000
  if ttl < 0 then return end
  for _, key in ipairs(L.keys_of(job.id)) do
    if ttl == 0 then call('DEL', key) else call('PEXPIRE', key, math.floor(ttl)) end
  end
  if ttl == 0 then call('ZREM', K.registry(job.status, job.origin), job.id) end
end

-- A parent that has ended and got a new dependent is kept until that one has ended too.
function L.keep(job)
  for _, key in ipairs(L.keys_of(job.id)) do call('PERSIST', key) end
end

local function expiry(job, status)
  if job.run then return '+inf' end
  local ttl = tonumber((status == 'failed' or status == 'stopped') and job.failure_ttl or job.result_ttl) or 500000
  if ttl < 0 then return '+inf' end
  -- Registries shed what has expired as they grow; counts leave it out anyway.
  local registry = K.registry(status, job.origin)
  local old = call('ZRANGEBYSCORE', registry, '-inf', now, 'LIMIT', 0, 10)
  if #old > 0 then call('ZREM', registry, unpack(old)) end
  return now + ttl
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

-- A job comes to its end. Everything that follows for others is put on the list.
function L.end_job(job, status, reason, extra)
  extra = extra or {}
  extra[#extra + 1], extra[#extra + 2] = 'ended_at', now
  if status == 'failed' and job.allow == '1' and job.allowed ~= '1' then
    extra[#extra + 1], extra[#extra + 2] = 'allowed', '1' -- no worker reported this end: abandoned, expired, undecidable
  end
  L.set_status(job, status, reason, expiry(job, status), extra)
  if job.run then
    L.add(job.run, 'open', -1)
    if job.allowed == '1' and status == 'failed' then L.add(job.run, 'warnings', 1) end
  end
  if job.kids then
    push('edges', job.id, 0, job.run)
  else
    retire(job)
  end
  if not job.run then
    for _, edge in ipairs(call('LRANGE', K.parents(job.id), 0, -1)) do
      local parent = L.load(string.match(edge, '^(.*)|'))
      if parent then
        parent.refs = call('HINCRBY', K.job(parent.id), 'refs', -1)
        if L.ended(parent.status) then retire(parent) end
      end
    end
    L.arrived(job)
  end
end

-- All edges of a deferred job hold: it goes on. `decided` says that its `if` has been answered.
function L.ready(job, decided)
  if canceling(job.run) then return L.end_job(job, 'canceled', 'run_canceled') end
  if job.kind == 'group' then return L.end_job(job, group_status(job), nil) end
  if job['if'] and not decided then
    call('ZADD', K.decide(), now, job.id)
    L.wake('@decide')
    return
  end
  if job.kind == 'join' then return L.end_job(job, 'finished', nil) end
  if job.at and tonumber(job.at) > now then return L.schedule(job, tonumber(job.at) - now, 'delay') end
  if job.delay then return L.schedule(job, tonumber(job.delay), 'delay') end
  L.enqueue(job)
end

function L.tally(group, parent)
  local word = parent.status
  if holds(parent, 'success') then word = 'finished' elseif word == 'stopped' then word = 'failed' end
  group['g:' .. word] = call('HINCRBY', K.job(group.id), 'g:' .. word, 1)
end

local function decide_edge(parent, child_id, condition)
  local child = L.load(child_id)
  if not child or child.status ~= 'deferred' then return end
  if child.kind == 'group' then
    L.tally(child, parent)
  elseif not holds(parent, condition) then
    if canceling(child.run) then return L.end_job(child, 'canceled', 'run_canceled') end
    return L.end_job(child, 'skipped', reason_of(parent))
  end
  child.pending = call('HINCRBY', K.job(child_id), 'pending', -1)
  if child.pending == 0 then L.ready(child) end
end

local step = {}

-- Decide the edges below an ended job. Returns how many were dealt with and the next cursor (nil: through).
function step.edges(id, cursor, budget)
  local parent = L.load(id)
  if not parent then return 0, nil end
  local edges = call('LRANGE', K.children(id), cursor, cursor + budget - 1)
  for _, edge in ipairs(edges) do
    local child, condition = string.match(edge, '^(.*)|(%w+)$')
    decide_edge(parent, child, condition)
  end
  if #edges < budget then
    if not parent.run then retire(parent) end
    return #edges, nil
  end
  return #edges, cursor + #edges
end

-- A run has become visible: queue its roots, list the others as deferred.
local function start_one(id)
  local job = L.load(id)
  if not job or job.status ~= 'deferred' then return end
  if job.verdict then
    L.end_job(job, 'skipped', job.verdict)
  elseif tonumber(job.pending) == 0 then
    L.ready(job)
  elseif job.kind ~= 'group' then
    call('ZADD', K.registry('deferred', job.origin), now, id)
  end
end

function step.start(run, cursor, budget)
  local cells = tonumber(call('HGET', K.run(run), 'cells'))
  local last = math.min(cells, cursor + budget) - 1
  for ordinal = cursor, last do start_one(run .. '-' .. ordinal) end
  if cells == 0 then may_have_ended[run] = true end
  if last + 1 >= cells then return last + 1 - cursor, nil end
  return budget, last + 1
end

-- A canceled run: end what has not started, ask the workers to kill what has.
function step.cancel(run, cursor, budget)
  local cells = tonumber(call('HGET', K.run(run), 'cells'))
  local last = math.min(cells, cursor + budget) - 1
  for ordinal = cursor, last do
    local job = L.load(run .. '-' .. ordinal)
    if job and job.status == 'started' then
      call('HSET', K.job(job.id), 'cancel', '1')
      L.call_worker(job.worker)
    elseif job and not L.ended(job.status) then
      L.end_job(job, 'canceled', 'run_canceled')
    end
  end
  if last + 1 >= cells then return last + 1 - cursor, nil end
  return budget, last + 1
end

-- A retry has been flipped: first every job of it is deferred again with its edges re-armed, then the roots start. Two walks,
-- because a root that ends between them must find its children armed.
-- An entry is "<ordinal> <undecided edges> <skip reason or -> <finished> <failed> <skipped> <canceled>"; the last four are what a
-- group has counted of cells that stay as they are.
local function arm_one(run, entry)
  local field = {}
  for word in string.gmatch(entry, '%S+') do field[#field + 1] = word end
  local job = L.load(run .. '-' .. field[1])
  if not job or not L.ended(job.status) then return end
  if job.allowed == '1' and job.status == 'failed' then L.add(run, 'warnings', -1) end
  call('HDEL', K.job(job.id), 'allowed', 'cancel', 'returns', 'verdict', 'exit_code', 'worker', 'ended_at', 'started_at', 'enqueued_at')
  job.allowed = nil
  local extra = { 'pending', field[2], 'attempt', 0 }
  if field[3] ~= '-' then extra[5], extra[6] = 'verdict', field[3] end
  if job.kind == 'group' then
    for i, name in ipairs({ 'finished', 'failed', 'skipped', 'canceled' }) do
      extra[#extra + 1], extra[#extra + 2] = 'g:' .. name, field[3 + i]
    end
  end
  L.set_status(job, 'deferred', nil, now, extra)
  L.add(run, 'open', 1)
end

function step.arm(run, cursor, budget)
  local entries = call('LRANGE', K.staging(run), cursor, cursor + budget - 1)
  for _, entry in ipairs(entries) do arm_one(run, entry) end
  if #entries < budget then
    push('restart', run, 0, run)
    return #entries, nil
  end
  return #entries, cursor + #entries
end

function step.restart(run, cursor, budget)
  local entries = call('LRANGE', K.staging(run), cursor, cursor + budget - 1)
  for _, entry in ipairs(entries) do start_one(run .. '-' .. string.match(entry, '^(%d+)')) end
  if #entries < budget then
    call('DEL', K.staging(run))
    return #entries, nil
  end
  return #entries, cursor + #entries
end

local function end_run(run)
  local fields = call('HMGET', K.run(run), 'open', 'outbox', 'n:failed', 'n:stopped', 'n:canceled', 'warnings', 'status', 'attempt', 'retention')
  local function n(i) return tonumber(fields[i] or 0) or 0 end
  if fields[7] ~= 'running' or n(1) ~= 0 or n(2) ~= 0 then return end
  local status = 'finished'
  if n(3) - n(6) + n(4) > 0 then status = 'failed' elseif n(5) > 0 then status = 'canceled' end
  call('HSET', K.run(run), 'status', status, 'ended_at', now)
  if n(9) >= 0 then call('ZADD', K.timers(), now + n(9), 'collect|' .. run) end -- below 0: kept for ever
  L.event(run, '', 'running', status, '', 0, fields[8])
end

-- The last thing every script does: runs of which nothing is open and nothing is left in the outbox have ended.
local function settle()
  L.write_sums(function(run) may_have_ended[run] = true end)
  for run in pairs(may_have_ended) do end_run(run) end
  may_have_ended = {}
end

local function carry_out(entry, budget)
  return step[entry.kind](entry.id, entry.cursor, budget)
end

local function persist(entry)
  call('RPUSH', K.outbox(), entry.kind .. '|' .. entry.id .. '|' .. entry.cursor)
  if entry.run then L.add(entry.run, 'outbox', 1) end
end

local function drain_memory(budget)
  while todo_at <= #todo and budget > 0 do
    local entry = todo[todo_at]
    local did, cursor = carry_out(entry, budget)
    budget = budget - math.max(did, 1)
    if cursor then entry.cursor = cursor else todo_at = todo_at + 1 end
  end
  for i = todo_at, #todo do persist(todo[i]) end
  todo, todo_at = {}, 1
  return budget
end

-- What this script made, now: whoever became ready can be claimed by the same call.
L.spread = drain_memory

local function drain_outbox(budget)
  local text = call('LINDEX', K.outbox(), 0)
  local kind, id, cursor = string.match(text, '^(%w+)|(.*)|(%d+)$')
  local did, next_cursor = step[kind](id, tonumber(cursor), budget)
  if next_cursor then
    call('LSET', K.outbox(), 0, kind .. '|' .. id .. '|' .. next_cursor)
  else
    call('LPOP', K.outbox())
    local run = id
    if kind == 'edges' then run = call('HGET', K.job(id), 'run') end
    if run then L.add(run, 'outbox', -1) end
  end
  return budget - math.max(did, 1)
end

-- Deal with up to `budget` edges and jobs: first what this script made, then the outbox. Every script that may end a job calls
-- this last. Returns what was dealt with, and 1 when the outbox holds more.
function L.drain(budget)
  local left = drain_memory(budget)
  local waiting = call('LLEN', K.outbox())
  while waiting > 0 and left > 0 do
    left = drain_memory(drain_outbox(left))
    waiting = call('LLEN', K.outbox())
  end
  settle()
  return budget - left, waiting > 0 and 1 or 0
end

function L.later(kind, run)
  push(kind, run, 0, run)
end

function T.release()
  return { L.drain(A.number()) }
end
