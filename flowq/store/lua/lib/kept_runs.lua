-- lib/kept_runs: how many ended runs of a flow, and of an entry of its schedule, are kept (`keep`); the sweep deletes the older ones
-- uses: lib/status
-- Field `keep` of a run is the number for its flow, `keep_of_entry` that for its entry. K.kept has the ended runs of each with such a number, in the
-- order of their ends. A run that is to go has the field `surplus`, and the timer of a run whose retention has passed.
local AT_ONCE = 100 -- runs that go with one end, so that a smaller number takes effect in bounded steps

local function limits_of(run)
  local found = call('HMGET', K.run(run), 'keep', 'flow', 'file', 'keep_of_entry', 'schedule')
  local limits = {}
  if found[1] then limits[1] = { name = 'flow/' .. (found[3] or found[2]), keep = tonumber(found[1]) } end
  if found[4] and found[5] then limits[#limits + 1] = { name = 'schedule/' .. found[5], keep = tonumber(found[4]) } end
  return limits
end

local function let_go(name, run)
  call('ZREM', K.kept(name), run)
  local status = call('HGET', K.run(run), 'status')
  if not status or status == 'running' or status == 'queued' then return end
  call('HSET', K.run(run), 'surplus', 1)
  call('ZADD', K.timers(), now, 'collect|' .. run)
end

-- A run has ended: it is kept, in place of the oldest.
function L.keep_run(run)
  for _, limit in ipairs(limits_of(run)) do
    call('ZADD', K.kept(limit.name), call('HINCRBY', KEYS[1], 'ends', 1), run)
    local surplus = math.min(AT_ONCE, call('ZCARD', K.kept(limit.name)) - limit.keep)
    if surplus > 0 then
      for _, oldest in ipairs(call('ZRANGE', K.kept(limit.name), 0, surplus - 1)) do let_go(limit.name, oldest) end
    end
  end
end

-- A run is deleted, or is open again.
function L.forget_run(run)
  for _, limit in ipairs(limits_of(run)) do call('ZREM', K.kept(limit.name), run) end
  call('HDEL', K.run(run), 'surplus')
end
