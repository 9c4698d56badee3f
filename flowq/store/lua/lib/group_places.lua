-- lib/group_places: the place of a run in its concurrency group is taken from it when no worker serves the run any more
-- uses: lib/status lib/outbox lib/run_cancellation
-- A timer looks at each run that holds a group. `unserved_since` of the run is when a look found no worker first; a look that finds one
-- deletes it, so time without looks (the machine slept, the server was down) does not count. When the run has been without a
-- worker for its `keep_place` (ms), or its timeout has passed and it has been for GRACE, it ends `failed`, `run_timeout`, and its handlers do not run.
local KEPT = 86400000 -- ms, of a run of an earlier version
local GRACE = 5000 -- ms, in which a worker that is restarted comes back
local LOOKS = 24 -- per `keep_place`
local LEASE = 10000 -- ms, as of `worker/register`

local function is_served(queues)
  for _, name in ipairs(call('ZRANGE', K.workers(), 0, -1)) do
    local worker = call('HMGET', K.worker(name), 'queues', 'beat', 'lease')
    if worker[1] and tonumber(worker[2] or 0) + 2 * tonumber(worker[3] or LEASE) > now then
      for queue in string.gmatch(worker[1], '[^\n]+') do
        if string.find('\n' .. queues .. '\n', '\n' .. queue .. '\n', 1, true) then return true end
      end
    end
  end
  return false
end

-- Whether all that the run waits for is a person's decision: that may take longer than any worker lives.
local function waits_for_a_person(run)
  local found = call('HMGET', K.run(run), 'cells', 'jobs:queued', 'jobs:started', 'jobs:scheduled')
  for i = 2, 4 do
    if tonumber(found[i] or 0) > 0 then return false end
  end
  for ordinal = 0, tonumber(found[1]) - 1 do
    local job = call('HMGET', K.job(L.member(run, ordinal)), 'status', 'reason')
    if job[1] == 'deferred' and job[2] == 'approval' then return true end
  end
  return false
end

-- Look at a run again in a while. `kept` is its `keep_place`.
function L.watch_place(run, kept)
  L.set_timer(now + math.max(100, math.floor((tonumber(kept) or KEPT) / LOOKS)), 'place|' .. run)
end

function L.check_place(run)
  local found = call('HMGET', K.run(run), 'status', 'semaphore', 'queues', 'keep_place', 'unserved_since', 'started_at', 'timeout', 'cancel')
  if found[1] ~= 'running' or not found[2] or not found[3] or found[8] == 'lost' then return end
  local kept = tonumber(found[4]) or KEPT
  if is_served(found[3]) or waits_for_a_person(run) then
    call('HDEL', K.run(run), 'unserved_since')
    return L.watch_place(run, kept)
  end
  local since = math.min(tonumber(found[5]) or now, now) -- the clock may have been set back
  local late = found[7] and tonumber(found[6]) + tonumber(found[7]) <= now
  local until_ms = since + (late and math.min(GRACE, kept) or kept)
  if until_ms <= now then
    L.set_halt(run, 'lost')
    L.event(run, '', 'running', 'running', 'run_timeout', 0, 0)
    return L.later('cancel', run)
  end
  call('HSET', K.run(run), 'unserved_since', since)
  L.watch_place(run, kept)
  if until_ms < now + kept / LOOKS then L.set_timer(until_ms, 'place|' .. run) end
end
