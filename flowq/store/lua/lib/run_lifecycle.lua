-- lib/run_lifecycle: how a run starts and ends: the outcome of its graph, its handlers
-- uses: lib/stats lib/outbox lib/semaphores lib/run_cancellation lib/run_turns lib/group_places lib/notices lib/kept_runs
-- The graph's outcome is fixed when nothing of it is open; then the handlers of that outcome take part (field `phase` of the run:
-- early), then those of `exit`, then the run ends. Handlers that do not fit are skipped. `open` counts the jobs that take part.
local ENDED = 10000 -- ends of runs that are kept, for flows that follow others
local FITS = { finished = 'success', failed = 'failure', canceled = 'cancel' }

-- A run whose turn it is begins. `with` is the walk that starts it: start, or arm for a retry.
function L.begin_run(run, with, from, attempt)
  local found = call('HMGET', K.run(run), 'timeout', 'semaphore', 'keep_place', 'notify', 'file', 'flow')
  call('HSET', K.run(run), 'status', 'running', 'started_at', now)
  if found[1] then call('ZADD', K.timers(), now + found[1], 'timeout|' .. run) end
  L.event(run, '', from, 'running', with == 'arm' and 'retry' or '', 0, attempt)
  if found[2] then L.watch_place(run, found[3]) end
  if found[4] then L.watch_pace(run, found[4], found[5] or found[6]) end
  L.later(with, run)
end

local function outcome_of(f)
  local function n(name) return tonumber(f[name] or 0) or 0 end
  if n('jobs:failed') - n('warnings') + n('jobs:stopped') > 0 then return 'failed' end
  return n('jobs:canceled') > 0 and 'canceled' or 'finished'
end

local NAMES = {
  'open', 'outbox', 'jobs:failed', 'jobs:stopped', 'jobs:canceled', 'warnings', 'status', 'attempt', 'retention', 'phase', 'outcome', 'handlers:early', 'handlers:exit',
  'timeout', 'semaphore', 'expiry_times', 'place', 'flow', 'file', 'by', 'notify', 'keep', 'keep_of_entry', 'started_at', 'cause',
  'left_out', 'jobs:finished', 'cached',
}

local function open_phase(run, phase, count)
  call('HSET', K.run(run), 'phase', phase)
  call('HINCRBY', K.run(run), 'open', count)
  L.later('hooks', run)
end

-- A run that was turned away has not begun.
local function count(f)
  local took = f.started_at and now - f.started_at
  L.count(L.series('run|' .. f.outcome .. '|' .. (f.cause or '') .. '|' .. (took and L.bucket(took) or ''), f.flow or ''), 1)
end

local function executed(finished, cached)
  return (tonumber(finished or 0) or 0) - (tonumber(cached or 0) or 0)
end

-- The times of the jobs of a flow are those of its run that finished last; of a part of it only where no whole one is there, of one that took
-- most results from the cache only where there is none that has executed more than twice as many jobs. Flows of other files have times of their own.
local function remember_times(run, f)
  local place = f.file or f.flow
  local former = (f.left_out or f.cached) and call('HGET', K.latest(), place)
  local found = former and call('HMGET', K.run(former), 'status', 'left_out', 'jobs:finished', 'cached')
  if found and found[1] then
    if f.left_out and not found[2] then return end
    if f.cached and executed(found[3], found[4]) > 2 * executed(f['jobs:finished'], f.cached) then return end
  end
  call('HSET', K.latest(), place, run)
end

-- Move a run to the next phase, or end it, if none of its jobs is open.
function L.advance(run)
  local values = call('HMGET', K.run(run), unpack(NAMES))
  local f = {}
  for i, name in ipairs(NAMES) do f[name] = values[i] end
  if f.status ~= 'running' or tonumber(f.open) ~= 0 or tonumber(f.outbox) ~= 0 then return end
  if not f.phase then
    f.outcome = outcome_of(f)
    call('HSET', K.run(run), 'outcome', f.outcome)
    if f.timeout then call('ZREM', K.timers(), 'timeout|' .. run) end
    if f['handlers:early'] then return open_phase(run, 'early', f['handlers:early']) end
  end
  if f['handlers:exit'] and f.phase ~= 'exit' then return open_phase(run, 'exit', f['handlers:exit']) end
  call('HSET', K.run(run), 'status', f.outcome, 'ended_at', now)
  if tonumber(f.retention) >= 0 then call('ZADD', K.timers(), now + f.retention, 'collect|' .. run) end -- below 0: no expiry
  if f.expiry_times then call('ZADD', K.timers(), now + tonumber(string.match(f.expiry_times, '%d+')), 'fade|' .. run) end
  L.event(run, '', 'running', f.outcome, '', 0, f.attempt)
  call('XADD', K.ended(), 'MAXLEN', ENDED, '*', 'r', run, 'a', f.attempt, 's', f.outcome, 'f', f.file or '', 'b', f.by or '')
  count(f)
  if f.outcome == 'finished' and (f.file or f.flow) then remember_times(run, f) end
  if f.notify then L.announce_end(run, f) end
  if f.keep or f.keep_of_entry then L.keep_run(run) end
  if f.semaphore then L.leave_group(run, f.semaphore) end
  if f.place then L.leave_schedule(run, f.place) end
  L.call_schedulers()
end

-- The handlers of a phase that has begun.
function L.step.hooks(run, cursor, budget)
  local found = call('HMGET', K.run(run), 'phase', 'outcome')
  local entries = call('LRANGE', K.handlers(run), cursor, cursor + budget - 1)
  for _, ordinal in ipairs(entries) do
    local job = L.load(L.member(run, ordinal))
    if job and job.status == 'deferred' and (job.phase == 'exit') == (found[1] == 'exit') then
      if job.phase ~= 'exit' and job.phase ~= FITS[found[2]] then
        L.end_job(job, 'skipped', 'not_selected')
        L.add(run, 'idle_handlers', 1)
      elseif tonumber(job.pending) == 0 then
        L.ready(job)
      else
        L.stay(job)
      end
    end
  end
  if #entries < budget then return #entries, nil end
  return #entries, cursor + #entries
end
