-- run/publish: makes a staged run visible with all its jobs, at one instant
-- edges: -
-- args: run nonce chunks directory_key fields*
-- guard: every chunk of this nonce is staged; the same nonce again is a duplicate
-- replies: {done | duplicate | conflict | wrong_state}
-- uses: job/release_dependents run/cancel
-- The fields `handlers:early` and `handlers:exit` count the handlers, which are outside the graph, by when they have their turn. With the
-- fields `semaphore` and `max_runs` (its concurrency group) the run begins when the group has room, or does what `on_conflict` says.
local EVERYBODY = 100 -- runs of a group that one submission cancels at most

local function make_room(name, max)
  local holding = call('ZCARD', K.holders(name))
  for _, other in ipairs(call('ZRANGE', K.waiters(name), 0, EVERYBODY)) do L.cancel_run(other) end
  for _, other in ipairs(call('ZRANGE', K.holders(name), 0, math.min(EVERYBODY, holding - max))) do L.cancel_run(other) end
end

-- The group is taken, and this run is not to wait: it ends at once, with its handlers as if they were jobs of it. `holder` is the run in its place.
local function give_up(run, how, cells, holder)
  local outcome = how == 'fail' and 'failed' or 'skipped'
  call('HSET', K.run(run), 'status', 'running', 'open', cells, 'phase', 'exit', 'outcome', outcome, 'turned_away_by', holder)
  L.set_halt(run, how)
  L.event(run, '', '-', 'running', 'concurrency', 0, 1)
  L.later('cancel', run)
end

local function begin(run, cells)
  local found = call('HMGET', K.run(run), 'semaphore', 'max_runs', 'on_conflict')
  local name, max, how = found[1], tonumber(found[2]), found[3]
  if not name then return L.begin_run(run, 'start', '-', 1) end
  if not L.run_has_room(name, max, run) then
    if how == 'skip' or how == 'fail' then return give_up(run, how, cells, call('ZRANGE', K.holders(name), 0, 0)[1]) end
    if how == 'cancel_running' then make_room(name, max) end
  end
  if L.enter_group(run, name, max, 'start') then
    L.begin_run(run, 'start', '-', 1)
  else
    L.event(run, '', '-', 'queued', 'concurrency', 0, 1)
  end
end

function T.publish()
  local run, nonce, chunks, directory, fields = A.text(), A.text(), A.number(), A.text(), A.list()
  local key = K.run(run)
  local found = call('HMGET', key, 'status', 'nonce', 'chunks', 'cells')
  if found[1] and found[1] ~= 'staging' then return { found[2] == nonce and 'duplicate' or 'conflict' } end
  if found[1] and found[2] ~= nonce then return { 'conflict' } end
  if tonumber(found[3] or 0) ~= chunks then return { 'wrong_state' } end
  local cells, handlers = tonumber(found[4] or 0), call('LLEN', K.handlers(run))
  call('HSET', key, 'nonce', nonce, 'attempt', 1, 'created_at', now, 'cells', cells, 'staged', cells, 'open', cells - handlers, 'outbox', 0,
    'warnings', 0, unpack(fields))
  call('HSET', key, 'jobs:deferred', call('HGET', key, 'total'))
  call('ZREM', K.timers(), 'collect|' .. run)
  call('ZADD', K.runs(), now, run)
  call('ZADD', K.run_ids(), 0, run)
  call('ZADD', K.directory(directory), now, run)
  begin(run, cells)
  L.drain(100)
  return { 'done' }
end
