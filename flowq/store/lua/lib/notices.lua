-- lib/notices: messages about runs, for workers to send: they are written down in the step of what they tell, and sent outside of any script
-- uses: lib/webhooks
-- Field `notify` of a run has one line "<events> <ms of a try> <slow> <signature> <JSON>" for each, see `flowq.plan.notice`; <slow> is the time (ms)
-- after which a run is slow, 0 (never), or `usual`: twice the median of the flow's latest runs. A message is a
-- delivery as those of webhooks are. Messages of one kind about one flow that come within WINDOW are one message with a count, which is
-- sent when the time is over; the first is sent at once.
local WINDOW = 300000 -- ms
local USUAL = 'usual'
local LATEST = 11 -- runs of a flow whose durations are kept
local FEWEST = 3 -- without as many a flow has no usual duration

local function put(group, timeout, message)
  local due, id = string.match(call('HGET', K.notified(), group) or '', '^(%d+)|(.*)$')
  due = tonumber(due)
  if due and due > now + WINDOW then due = nil end -- it was noted while the clock was ahead
  if due and due > now and call('EXISTS', K.webhook(id)) == 1 then
    call('HINCRBY', K.webhook(id), 'count', 1)
    call('HSET', K.webhook(id), unpack(message))
    return
  end
  if not due or due + WINDOW <= now then due = now else due = due + WINDOW end
  id = '|notice|' .. call('HINCRBY', KEYS[1], 'webhooks', 1)
  call('HSET', K.webhook(id), 'timeout', timeout, 'ended_at', now, 'tries', 0, 'count', 1, unpack(message))
  call('HSET', K.notified(), group, due .. '|' .. id)
  L.deliver(id, due)
  L.wake('@decide')
end

-- Write down the messages of `lines` that an event has. `flow` is the flow's file or the schedule; `only`: of the notices with this <slow>.
function L.announce(lines, event, flow, about, only)
  for events, timeout, slow, signed, spec in string.gmatch(lines, '(%S+) (%d+) (%S+) (%S+) ([^\n]+)') do
    if string.find(',' .. events .. ',', ',' .. event .. ',', 1, true) and (not only or slow == only) then
      local message = { 'status', event, 'spec', spec, 'signed', signed, 'at', now }
      for i = 1, #about do message[#message + 1] = about[i] end
      put(flow .. '\n' .. event .. '\n' .. spec, timeout, message)
    end
  end
end

local function about(run, flow, attempt, job)
  return { 'run', run, 'flow', flow, 'attempt', attempt or 1, 'job', job or '' }
end

-- Keep how long a run of a flow took.
local function keep_duration(place, duration)
  local kept = { duration }
  for text in string.gmatch(call('HGET', K.durations(), place) or '', '%d+') do
    if #kept < LATEST then kept[#kept + 1] = text end
  end
  call('HSET', K.durations(), place, table.concat(kept, ' '))
end

-- Twice the median (ms) of the flow's latest runs, nil while there are too few.
local function twice_the_usual(place)
  local kept = {}
  for text in string.gmatch(call('HGET', K.durations(), place) or '', '%d+') do kept[#kept + 1] = tonumber(text) end
  if #kept < FEWEST then return nil end
  table.sort(kept)
  return kept[math.floor((#kept + 1) / 2)] + kept[math.ceil((#kept + 1) / 2)]
end

-- A run has begun: it is slow when one of the times has passed.
function L.watch_pace(run, lines, place)
  for slow in string.gmatch(lines, '%S+ %d+ (%S+) %S+ [^\n]+') do
    local after = tonumber(slow)
    if slow == USUAL then
      after = twice_the_usual(place)
      if after then call('HSET', K.run(run), 'slow_after', after) end
    end
    if after and after > 0 then L.set_timer(now + after, 'slow|' .. slow .. '|' .. run) end
  end
end

function L.check_pace(slow, run)
  local found = call('HMGET', K.run(run), 'status', 'started_at', 'notify', 'flow', 'file', 'attempt', 'slow_after')
  local after = tonumber(slow == USUAL and found[7] or slow)
  if found[1] ~= 'running' or not found[3] or tonumber(found[2]) + after > now then return end
  L.announce(found[3], 'slow', found[5] or found[4], about(run, found[4], found[6]), slow)
end

-- An approval of a run waits for its decision.
function L.announce_approval(job)
  local found = call('HMGET', K.run(job.run), 'notify', 'flow', 'file', 'attempt')
  if found[1] then L.announce(found[1], 'waiting', found[3] or found[2], about(job.run, found[2], found[4], job.id)) end
end

-- A run has ended. What the one before came to is kept per flow, for `recovered`, and how long the latest took, for `slow`.
function L.announce_end(run, f)
  local place = f.file or f.flow
  L.announce(f.notify, f.outcome, place, about(run, f.flow, f.attempt))
  if f.outcome ~= 'finished' and f.outcome ~= 'failed' then return end
  if f.outcome == 'finished' and call('HGET', K.outcomes(), place) == 'failed' then
    L.announce(f.notify, 'recovered', place, about(run, f.flow, f.attempt))
  end
  call('HSET', K.outcomes(), place, f.outcome)
  if f.outcome == 'finished' and tonumber(f.attempt) == 1 then -- a later attempt executes a part only
    keep_duration(place, now - call('HGET', K.run(run), 'started_at'))
  end
end
