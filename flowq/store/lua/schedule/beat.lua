-- schedule/beat: records that a scheduler lives, and returns the state of its schedules
-- edges: -
-- args: scheduler entries*
-- guard: -
-- replies: {now, {slot since paused open waiting} of each entry*, backfills that are open*}
-- uses: job/release_dependents lib/slot_claims
-- `entries` are three texts each: id, digest of the definition, 1 if the file says `paused`. A definition that is new or another one begins
-- now (`since`): no slot before that fires. While the file says `paused`, slots pass. A schedule that no scheduler has had for a month is forgotten,
-- if this one has not either: it may have been off, and a pause still holds. What lies in the future was written while the clock was ahead, and would
-- silence a schedule until then; a slot of the next hours stays dealt with. A run is made once for a slot all the same: the slot gives its id.
local DAY = 86400000
local MONTH = 30 * 86400000
local LIVES = 60000 -- ms without a beat after which a scheduler counts as dead
local SILENT = 3600000 -- ms without a beat after which a scheduler is off the list

local function forget_old()
  for _, id in ipairs(call('ZRANGEBYSCORE', K.schedules(), '-inf', now - MONTH, 'LIMIT', 0, 100)) do
    call('ZREM', K.schedules(), id)
    call('DEL', K.schedule(id), K.schedule_log(id), K.events_seen(id))
  end
  call('ZREMRANGEBYSCORE', K.loops(), '-inf', now - SILENT)
  call('ZREMRANGEBYSCORE', K.loops(), now + LIVES, '+inf')
end

-- A run that is not open any more cannot hold a place: its record was restored from an older state of the server, say, or deleted by hand.
local function free_place(place)
  local run = call('ZRANGE', K.holders(place), 0, 0)[1]
  local status = run and call('HGET', K.run(run), 'status')
  if not run or status == 'running' or status == 'queued' then return end
  call('ZREM', K.holders(place), run)
  L.push('admit', place, 0)
  free_place(place)
end

-- Another scheduler that lives had another definition: two versions of a file are at work, and `since` changes with each beat.
local function note_rival(key, name, other)
  if other and other ~= name and tonumber(call('ZSCORE', K.loops(), other) or 0) > now - LIVES then
    call('HSET', key, 'rivals', other .. '\n' .. name, 'rivals_at', now)
  end
end

local function set_to(key, field, time)
  call('HSET', key, field, time)
  return time
end

local function state_of(name, id, definition, paused)
  local key, place = K.schedule(id), L.place_in('schedule', id)
  local found = call('HMGET', key, 'slot', 'since', 'def', 'paused', 'until', 'def_by')
  local slot, since = tonumber(found[1] or -1), tonumber(found[2] or now)
  if found[3] ~= definition then
    since = now
    note_rival(key, name, found[6])
    call('HSET', key, 'def', definition, 'def_by', name, 'since', now)
  elseif since > now then
    since = set_to(key, 'since', now)
  end
  if slot > now + DAY then
    slot = set_to(key, 'slot', now)
  end
  if found[4] and found[5] and tonumber(found[5]) <= now then
    L.resume_schedule(id, tonumber(found[5]))
    slot, found[4] = math.max(slot, tonumber(found[5])), false
  end
  if paused and slot < now then
    slot = now
    call('HSET', key, 'slot', now)
  end
  free_place(place)
  return { slot, since, (found[4] or paused) and 1 or 0, call('ZCARD', K.holders(place)), call('ZCARD', K.waiters(place)) }
end

function T.beat()
  local name, entries = A.text(), A.list()
  call('ZADD', K.loops(), now, name)
  for i = 1, #entries, 3 do call('ZADD', K.schedules(), now, entries[i]) end
  forget_old()
  local states = {}
  for i = 1, #entries, 3 do states[#states + 1] = state_of(name, entries[i], entries[i + 1], entries[i + 2] == '1') end
  local backfills = call('SMEMBERS', K.backfills_open())
  for _, id in ipairs(backfills) do free_place(L.place_in('backfill', id)) end
  L.drain(100)
  return { now, states, backfills }
end
