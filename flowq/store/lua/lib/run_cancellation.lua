-- lib/run_cancellation: early ends: a canceled run, a run or matrix with fail_fast after a failure, a run out of time
-- uses: lib/outbox
-- A run's field `cancel` says how: 1 canceled, 2 canceled with its handlers, `fail_fast`, `run_timeout`, `lost` (its place in its concurrency
-- group is taken from it, see lib/group_places; its handlers do not run either), `skip` and `fail` (its group was taken). From then on nothing of it is queued: a walk ends the ready jobs, workers kill started jobs, and a job that
-- becomes ready ends in place of being queued. Under fail_fast and run_timeout jobs with undecided edges follow by their edges.
local REASON = { ['1'] = 'run_canceled', ['2'] = 'run_canceled', lost = 'run_timeout', skip = 'concurrency', fail = 'concurrency' }
local asked = {} -- per call
local flows = {} -- per call

local function ask(run)
  local found = call('HMGET', K.run(run), 'cancel', 'flow')
  asked[run], flows[run] = found[1], found[2] or ''
end

local function mode_of(run)
  if asked[run] == nil then ask(run) end
  return asked[run] or nil
end

-- The name of a run's flow.
function L.flow_of(run)
  if flows[run] == nil then ask(run) end
  return flows[run]
end

-- The way in which this job must stop, nil when it need not. Handlers obey only a cancel that includes them.
function L.halted(job)
  if not job.run then return nil end
  local mode = mode_of(job.run)
  if job.phase and mode ~= '2' and mode ~= 'lost' and mode ~= 'skip' and mode ~= 'fail' then return nil end
  return mode
end

function L.set_halt(run, mode)
  call('HSET', K.run(run), 'cancel', mode)
  asked[run] = mode
end

-- End a job that has not started.
function L.halt(job, mode)
  local reason = REASON[mode] or mode
  if reason == 'run_timeout' then return L.end_job(job, 'failed', reason) end
  local skipped = mode == 'skip' or (mode == 'fail_fast' and (tonumber(job.attempt) or 0) == 0)
  return L.end_job(job, skipped and 'skipped' or 'canceled', reason)
end

-- How a started job ends whose worker was asked to kill it.
function L.killed(job)
  return job.cancel_reason == 'run_timeout' and 'failed' or 'canceled', job.cancel_reason or 'canceled'
end

local function ready(job)
  if job.status == 'queued' or job.status == 'scheduled' then return true end
  return job.status == 'deferred' and job.kind ~= 'group' and tonumber(job.pending) == 0
end

-- `all`: also jobs that wait for others. A group ends by its cells, unless nothing of its run has begun.
local function halt_one(job, mode, all)
  if not job or L.ended(job.status) then return end
  if job.status == 'started' then
    call('HSET', K.job(job.id), 'cancel', '1', 'cancel_reason', REASON[mode] or mode)
    L.call_worker(job.worker)
  elseif job.kind == 'group' then
    if tonumber(job.pending) == 0 then L.ready(job) end
  elseif all or ready(job) then
    L.halt(job, mode)
  end
end

-- Handlers have their turn, unless they are what is canceled: then those that take part.
local function concerned(job, mode, phase)
  if mode == 'skip' or mode == 'fail' then return true end
  if mode ~= '2' and not (mode == 'lost' and phase) then return not job.phase end
  return phase == 'exit' or job.phase ~= 'exit'
end

function L.step.cancel(run, cursor, budget)
  local found = call('HMGET', K.run(run), 'cells', 'cancel', 'phase')
  local cells, mode = tonumber(found[1]), found[2]
  local last = math.min(cells, cursor + budget) - 1
  local all = mode == '1' or mode == 'skip' or mode == 'fail'
  for ordinal = cursor, mode and last or -1 do
    local job = L.load(L.member(run, ordinal))
    if job and concerned(job, mode, found[3]) then halt_one(job, mode, all) end
  end
  L.may_have_ended(run)
  if last + 1 >= cells then return last + 1 - cursor, nil end
  return budget, last + 1
end

-- Stop the other cells when a cell of a matrix or foreach has failed.
function L.step.halt_cells(group, cursor, budget)
  local run, ordinal = L.run_and_ordinal(group)
  local first, count = string.match(call('HGET', K.job(group), 'members') or '0 0', '^(%d+) (%d+)$')
  local last = math.min(tonumber(count), cursor + budget) - 1
  for i = cursor, last do
    local job = L.load(L.member(run, first + i))
    if job and job.cell_of == ordinal then halt_one(job, 'fail_fast', false) end
  end
  if last + 1 >= tonumber(count) then return last + 1 - cursor, nil end
  return budget, last + 1
end

-- Stop the jobs that must not outlive a job whose failure or stop is not allowed.
function L.failed_fast(job)
  if job.fail_fast and not mode_of(job.run) then
    L.set_halt(job.run, 'fail_fast')
    L.later('cancel', job.run)
  end
  if job.group_fail_fast then
    local group = L.member(job.run, job.cell_of)
    if call('HSETNX', K.job(group), 'halt', '1') == 1 then L.push('halt_cells', group, 0, job.run) end
  end
end

-- Whether a cell that has become ready may not start any more because another one has failed.
function L.cell_halted(job)
  return job.group_fail_fast and call('HGET', K.job(L.member(job.run, job.cell_of)), 'halt') == '1'
end
