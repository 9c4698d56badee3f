-- lib/run_turns: the turn of a run: first in its schedule, then in its concurrency group
-- uses: lib/outbox lib/run_cancellation lib/group_places
-- Both are semaphores whose holders are runs: "schedule/<id>" (of the runs of its slots, field `place`), "run/<group>" (field `semaphore`). A
-- run that waits is `queued`, and `waits_for` is the one it waits for. It takes the place in its schedule first and never gives it up for
-- the group: the order is the same for all, so runs do not wait for each other.
local EVERYBODY = 100 -- runs that one submission cancels at most

-- The name of the semaphore of a schedule, or of a backfill.
function L.place_in(kind, id)
  return kind .. '/' .. id
end

function L.run_has_room(name, max, id)
  return call('ZCARD', K.holders(name)) < max or (call('ZSCORE', K.holders(name), id) and true or false)
end

function L.wait_for_turn(run, name, with)
  call('HSET', K.run(run), 'status', 'queued', 'next_walk', with, 'waits_for', name)
  call('ZADD', K.waiters(name), call('HINCRBY', KEYS[1], 'back', 1), run)
end

-- Take the concurrency group of a run, or wait for it. Returns whether the run can begin.
function L.enter_group(run, name, max, with)
  if L.run_has_room(name, max, run) then
    call('ZADD', K.holders(name), now, run)
    return true
  end
  L.wait_for_turn(run, name, with)
  return false
end

-- Cancel the runs that wait, and as many of those that hold as are in the way.
function L.make_room(name, max)
  local holding = call('ZCARD', K.holders(name))
  for _, other in ipairs(call('ZRANGE', K.waiters(name), 0, EVERYBODY)) do L.cancel_run(other) end
  for _, other in ipairs(call('ZRANGE', K.holders(name), 0, math.min(EVERYBODY, holding - max))) do L.cancel_run(other) end
end

-- The group is taken, and this run is not to wait: it ends at once, with its handlers as if they were jobs of it. `holder` is the run in its place.
local function give_up(run, how, cells, from, holder)
  local outcome = how == 'fail' and 'failed' or 'skipped'
  call('HSET', K.run(run), 'status', 'running', 'open', cells, 'phase', 'exit', 'outcome', outcome, 'turned_away_by', holder)
  L.set_halt(run, how)
  L.event(run, '', from, 'running', 'concurrency', 0, 1)
  L.later('cancel', run)
end

-- A new run has its place in its schedule, or has no schedule: take its concurrency group, or do what its `on_conflict` says.
function L.take_turn(run, from)
  local found = call('HMGET', K.run(run), 'semaphore', 'max_runs', 'on_conflict', 'cells')
  local name, max, how = found[1], tonumber(found[2]), found[3]
  if not name then return L.begin_run(run, 'start', from, 1) end
  if not L.run_has_room(name, max, run) then
    if how == 'skip' or how == 'fail' then return give_up(run, how, found[4], from, call('ZRANGE', K.holders(name), 0, 0)[1]) end
    if how == 'cancel_running' then L.make_room(name, max) end
  end
  if L.enter_group(run, name, max, 'start') then
    L.begin_run(run, 'start', from, 1)
  elseif from ~= 'queued' then
    L.event(run, '', from, 'queued', 'concurrency', 0, 1)
  end
end

-- nil: it does not wait any more.
function L.admit_run(run, name)
  local found = call('HMGET', K.run(run), 'status', 'max_runs', 'next_walk', 'attempt', 'waits_for')
  if found[1] ~= 'queued' or (found[5] and found[5] ~= name) then return nil end
  local in_schedule = string.sub(name, 1, 9) == 'schedule/'
  if not L.run_has_room(name, in_schedule and 1 or tonumber(found[2]), run) then return false end
  call('ZREM', K.waiters(name), run)
  call('ZADD', K.holders(name), now, run)
  if in_schedule then L.take_turn(run, 'queued') else L.begin_run(run, found[3], 'queued', found[4]) end
  return true
end

local function leave(run, name)
  call('ZREM', K.holders(name), run)
  call('ZREM', K.waiters(name), run)
  if call('EXISTS', K.waiters(name)) == 1 then L.push('admit', name, 0) end
end

function L.leave_group(run, name)
  leave(run, name)
  call('ZREM', K.timers(), 'place|' .. run)
end

function L.leave_schedule(run, name)
  leave(run, name)
end

-- Schedulers that live look again: there is room for the next slot of a backlog, or of a backfill, and a flow may follow the run.
local SILENT = 60000 -- ms without a beat after which a scheduler is forgotten
function L.call_schedulers()
  for _, name in ipairs(call('ZRANGEBYSCORE', K.loops(), now - SILENT, '+inf')) do L.call_worker(name) end
end

-- The run waits no more, because it is canceled.
local function leave_queue(run, sem, place, with, attempt)
  if sem then L.leave_group(run, sem) end
  if place then leave(run, place) end
  call('HSET', K.run(run), 'status', 'running', 'started_at', now)
  if with == 'arm' then -- a retry that has not begun: its jobs are as the last attempt left them
    call('DEL', K.staging(run), K.draft(run))
    call('HSET', K.run(run), 'phase', 'exit', 'outcome', 'canceled')
    L.may_have_ended(run)
  end
  L.event(run, '', 'queued', 'running', 'canceling', 0, attempt)
end

function L.cancel_run(run, nonce, handlers)
  local found = call('HMGET', K.run(run), 'status', 'cancel', 'phase', 'cancel_nonce', 'semaphore', 'place', 'next_walk', 'attempt')
  local status, mode = found[1], found[2]
  if not status or status == 'staging' or status == 'collecting' then return 'not_found' end
  if nonce and found[4] == nonce then return 'duplicate' end
  if status ~= 'running' and status ~= 'queued' then return 'wrong_state' end
  if mode == '2' or (mode == '1' and not found[3]) then return 'duplicate' end
  if found[3] and not handlers then return 'conflict' end
  L.set_halt(run, found[3] and '2' or '1')
  if nonce then call('HSET', K.run(run), 'cancel_nonce', nonce) end
  if status == 'queued' then
    leave_queue(run, found[5], found[6], found[7], found[8])
  else
    L.event(run, '', 'running', 'running', 'canceling', 0, 0)
  end
  L.later('cancel', run)
  return 'done'
end
