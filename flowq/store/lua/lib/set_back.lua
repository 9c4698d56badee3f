-- lib/set_back: shortens the waits that began while the server's clock was ahead, when it was set back
-- uses: lib/status lib/outbox
-- A time that is due is stored as a point in time, so a wait that began two hours ahead would last two hours longer. When `note_service` finds that
-- the clock was set back, sweeps walk over all timers, the latest first, in bounded steps: none is left further away than its whole wait. A clock
-- that is set forward cannot be told from an outage, in which waits go on: they end early. A time that a user has named stays where it is.
-- Field `set_back` of `meta` is "<score> <offset>", where the walk continues.
local BATCH = 200
local PLACE = 60000 -- ms, longer than a lease: the place of a deleted job whose process may still run
local STAGED = 60000 -- ms, as of run/upload_jobs
local DELIVERY = 1800000 -- ms, the longest wait before another try of a webhook
local CALLBACK = 30000 -- ms above the callback's own time, as of worker/take_lost_callbacks

-- What fires looks at when its wait began: in the future, that is set to now.
local function is_ahead(began)
  return (tonumber(began or nil) or 0) > now
end

-- The whole wait of each kind of timer (ms); nil: it stays. A returned `Retry` has its own wait, which only the stored times tell.
local function promote(id)
  local job = call('HMGET', K.job(id), 'reason', 'due', 'ended_at', 'delay', 'not_before')
  if job[1] ~= 'retry' and job[1] ~= 'repeat' then return not job[5] and tonumber(job[4]) or nil end
  if is_ahead(job[3]) then call('HSET', K.job(id), 'ended_at', now) end
  return job[2] and job[3] and job[2] - job[3]
end

local function expire(id)
  local job = call('HMGET', K.job(id), 'enqueued_at', 'ttl')
  if is_ahead(job[1]) then call('HSET', K.job(id), 'enqueued_at', now) end
  return tonumber(job[2])
end

local function lapse(id)
  local job = call('HMGET', K.job(id), 'asked_at', 'approval_timeout')
  if is_ahead(job[1]) then call('HSET', K.job(id), 'asked_at', now) end
  return tonumber(job[2])
end

local function of_run(run, field, name)
  local found = call('HMGET', K.run(run), field, name)
  if is_ahead(found[1]) then call('HSET', K.run(run), field, now) end
  return found[2]
end

local function timeout(run) return tonumber(of_run(run, 'started_at', 'timeout')) end

local function slow(id)
  local after, run = string.match(id, '^(%w+)|(.*)$')
  local usual = of_run(run, 'started_at', 'slow_after')
  return tonumber(after) or tonumber(usual)
end

local function collect(run)
  if call('HGET', K.run(run), 'status') == 'staging' then return STAGED end
  return tonumber(of_run(run, 'ended_at', 'retention'))
end

local function fade(run) -- the longest of its times
  return tonumber(string.match(of_run(run, 'ended_at', 'expiry_times') or '', '(%d+)$'))
end

local function vacate() return PLACE end
local function look() return 0 end -- it sets a timer for the next one

local WHOLE = {
  promote = promote, expire = expire, lapse = lapse, timeout = timeout, slow = slow, collect = collect, fade = fade, vacate = vacate, admit = look,
  place = look,
}

-- Returns whether it is due earlier now.
local function bring_back(timer, due)
  local kind, id = string.match(timer, '^(%w+)|(.*)$')
  local wait = WHOLE[kind] and WHOLE[kind](id)
  if not wait or now + wait >= due then return false end
  local at = now + wait
  if kind == 'promote' then
    call('HSET', K.job(id), 'due', at)
    call('ZADD', K.registry('scheduled', call('HGET', K.job(id), 'queue')), 'XX', at, id)
  elseif kind == 'expire' then
    call('ZADD', K.ttls(call('HGET', K.job(id), 'queue')), 'XX', at, id)
  end
  call('ZADD', K.timers(), 'XX', at, timer)
  return true
end

local function bring_callbacks_back(queue)
  for _, entry in ipairs(call('ZRANGEBYSCORE', K.callbacks(queue), '(' .. now + CALLBACK, '+inf', 'LIMIT', 0, BATCH)) do
    local spec = call('HGET', K.job(string.match(entry, '^[^|]*|(.*)$') or ''), 'on_failure')
    local timeout = tonumber(string.match(spec or '', '|([^|]+)$')) or D.CALLBACK_TIMEOUT
    local latest = now + math.ceil(timeout) + CALLBACK
    if tonumber(call('ZSCORE', K.callbacks(queue), entry)) > latest then call('ZADD', K.callbacks(queue), 'XX', latest, entry) end
  end
end

-- What is due within seconds as a rule: all of it at the first step.
local function bring_others_back(decide_again)
  for _, id in ipairs(call('ZRANGEBYSCORE', K.decide(), '(' .. now + decide_again, '+inf')) do call('ZADD', K.decide(), 'XX', now, id) end
  for _, id in ipairs(call('ZRANGEBYSCORE', K.webhooks(), '(' .. now + DELIVERY, '+inf')) do call('ZADD', K.webhooks(), 'XX', now, id) end
  for _, queue in ipairs(call('SMEMBERS', K.queues())) do L.guarded('queue', queue, bring_callbacks_back, queue) end
end

-- One step of the walk. Returns whether there is more.
function L.bring_waits_back(decide_again)
  local from, offset = string.match(call('HGET', KEYS[1], 'set_back') or '', '^(%S+) (%d+)$')
  if from == '+inf' and offset == '0' then bring_others_back(decide_again) end
  local found = from and call('ZREVRANGEBYSCORE', K.timers(), from, '(' .. now, 'WITHSCORES', 'LIMIT', offset, BATCH) or {}
  for i = 1, #found, 2 do
    local score = found[i + 1]
    if score ~= from then from, offset = score, 0 end
    local _, moved = L.guarded('timer', found[i], bring_back, found[i], tonumber(score))
    if not moved then offset = offset + 1 end
  end
  if #found < 2 * BATCH then
    call('HDEL', KEYS[1], 'set_back')
    return false
  end
  call('HSET', KEYS[1], 'set_back', from .. ' ' .. offset)
  return true
end
