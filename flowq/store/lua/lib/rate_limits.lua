-- lib/rate_limits: rate limits of plain jobs: how many may be queued or started at once, and how many may start in a period
-- uses: lib/outbox
-- A job's field `rate_limit` is "<concurrency>|<rate>|<period, ms>", empty without a limit; its semaphore is "rate/<key>", whose holders
-- and waiters are those of any semaphore. Producers may disagree: each limit that a job of the key carries while it waits for the key,
-- is queued or started, holds at the same time, so the strictest decides and none is ever exceeded. The hash `limits` counts the
-- jobs by what they carry; `starts` has the times of the latest executions, as many as the largest rate asks about.
local CARRYING = { rate_limited = true, queued = true, started = true }

local function parse(text)
  local concurrency, rate, period = string.match(text, '^(%d*)|(%d*)|(%d*)$')
  return tonumber(concurrency), tonumber(rate), tonumber(period)
end

-- The limits of a key now, with those that this job (nil: none) is about to add.
local function limits_of(name, job)
  local list = call('HKEYS', K.limits(name))
  if job then list[#list + 1] = job.rate_limit end
  return list
end

-- Executions that began while the clock was ahead begin now: they must neither hold others back until then nor not count.
local function set_back(key)
  for i, at in ipairs(call('LRANGE', key, 0, -1)) do
    if tonumber(at) > now then call('LSET', key, i - 1, now) end
  end
end

-- When the count-th latest execution leaves the period; nil when that is so already.
local function frees_at(name, count, period)
  local began = tonumber(call('LINDEX', K.starts(name), -count) or nil)
  if began and began > now then
    set_back(K.starts(name))
    began = now
  end
  if began and began + period > now then return began + period end
  return nil
end

-- Whether there is room for a place in a queue, or (`started`) for an execution. Against an execution only others that run count: of
-- those with a place in a queue the one that is claimed first runs first, and the others wait on in their order.
function L.limit_room(name, job, started)
  local holders = K.holders(name)
  local score = call('ZSCORE', holders, job.id)
  local has_place = score and score ~= 'inf'
  local places = call('ZCOUNT', holders, now, '(+inf')
  local running = call('ZCARD', holders) - places - ((score and not has_place) and 1 or 0)
  places = started and 0 or places - (has_place and 1 or 0)
  for _, text in ipairs(limits_of(name, job)) do
    local concurrency, rate, period = parse(text)
    if concurrency and running + places >= concurrency then return false end
    if rate and (places >= rate or frees_at(name, rate - places, period)) then return false end
  end
  return true
end

-- An execution begins.
function L.limit_started(name, job)
  local most, longest = 0, 0
  for _, text in ipairs(limits_of(name, job)) do
    local _, rate, period = parse(text)
    if rate then most, longest = math.max(most, rate), math.max(longest, period) end
  end
  if most == 0 then return end
  local key = K.starts(name)
  most = math.max(most, call('LLEN', key)) -- a larger rate that no job carries just now may come back
  call('RPUSH', key, now)
  call('LTRIM', key, -most, -1)
  if call('PTTL', key) < longest then call('PEXPIRE', key, longest) end
end

-- When time alone makes room for a place in a queue; nil when it does not.
function L.limit_frees(name)
  local places, first = call('ZCOUNT', K.holders(name), now, '(+inf'), nil
  for _, text in ipairs(limits_of(name)) do
    local _, rate, period = parse(text)
    local at = rate and places < rate and frees_at(name, rate - places, period)
    if at and (not first or at < first) then first = at end
  end
  return first
end

-- A job that waits already comes first, also when time has made room since the last look.
function L.others_wait(job)
  if not job.rate_limit then return false end
  local name = string.match(job.semaphores, ' ([^\n]+)')
  if call('EXISTS', K.waiters(name)) == 0 then return false end
  L.push('admit', name, 0)
  return true
end

-- Part of every change of status of a job with a limit. A limit that no job carries any more holds none back.
function L.limit_moved(job, from, to)
  local was, is = CARRYING[from] or false, CARRYING[to] or false
  if was == is then return end
  local name = string.match(job.semaphores, ' ([^\n]+)')
  local key = K.limits(name)
  if is then
    call('HINCRBY', key, job.rate_limit, 1)
    call('SADD', K.limited(), name)
  elseif call('HINCRBY', key, job.rate_limit, -1) <= 0 then
    call('HDEL', key, job.rate_limit)
    if call('EXISTS', K.waiters(name)) == 1 then L.push('admit', name, 0) end
    if call('EXISTS', key) == 0 then call('SREM', K.limited(), name) end
  end
end
