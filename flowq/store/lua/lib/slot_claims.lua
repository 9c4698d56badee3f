-- lib/slot_claims: which slot of a schedule a run is for, and whether it may be
-- uses: lib/stats lib/run_turns
-- A schedule's field `slot` (ms) is the latest slot that was dealt with: a scheduler that creates a run for one says which it saw (`after`), so of many
-- schedulers one creates it, in the step that moves `slot`. A backfill has a cursor instead, which moves likewise.
local LOGGED = 1000 -- entries of a schedule's log
local WAITING = 10 -- runs of a schedule that wait for their turn at most

-- `first` and `count` are of slots that were left out together, of which `slot` is the last.
function L.log_slot(id, slot, outcome, reason, run, first, count)
  L.count_now(L.series('slot|' .. outcome, id), count or 1)
  call('XADD', K.schedule_log(id), 'MAXLEN', LOGGED, '*', 's', slot, 'o', outcome, 'r', reason or '', 'u', run or '', 'f', first or slot, 'n', count or 1)
end

-- nil: of a run without a slot. `kind` is slot, hand (a user asked for it), backfill (`overlap` is '') or event (of a trigger).
function L.read_claim(list)
  if #list == 0 then return nil end
  local kind, id, slot, overlap = list[1], list[2], tonumber(list[4]), list[6]
  if kind == 'event' then return { kind = kind, id = id, slot = slot, overlap = overlap, before = list[3], cursor = list[5], key = list[7] } end
  return { kind = kind, id = id, after = tonumber(list[3]), slot = slot, due = tonumber(list[5]), overlap = overlap, backfill = list[7], code = list[8] }
end

-- What `overlap` says while a run of the schedule is open: nil (the run can begin), wait, busy, or skipped with the run in its place.
local function check_room(claim)
  local place = L.place_in('schedule', claim.id)
  local waiting = call('ZCARD', K.waiters(place))
  local holder = call('ZRANGE', K.holders(place), 0, 0)[1]
  if claim.overlap == 'allow' or (waiting == 0 and not holder) then return nil end
  if claim.overlap == 'one_by_one' then return 'busy' end
  if claim.kind == 'event' and claim.overlap == 'queue' and waiting >= WAITING then return 'busy' end -- unlike slots, events are not lost
  if claim.overlap == 'skip' or (claim.overlap == 'queue' and waiting >= WAITING) then
    L.log_slot(claim.id, claim.slot, 'skipped', claim.overlap == 'skip' and 'running' or 'too_many_waiting', holder)
    return 'skipped', holder
  end
  return 'wait'
end

local function check_slot(claim)
  local found = call('HMGET', K.schedule(claim.id), 'slot', 'paused')
  if tonumber(found[1] or -1) ~= claim.after then return 'conflict' end
  if found[2] then return 'suspended' end
  if claim.due > now then return 'too_early' end
  local refusal, holder = check_room(claim)
  if refusal == 'skipped' then L.note_slot(claim.id, claim.slot) end
  return refusal, holder
end

-- An event is dealt with once: those of a stream by a cursor, which the caller has seen, others by their keys.
function L.check_event(claim)
  local found = call('HMGET', K.schedule(claim.id), 'cursor', 'paused')
  if claim.cursor ~= '' and found[1] ~= claim.before then return 'conflict' end
  if claim.cursor == '' and call('ZSCORE', K.events_seen(claim.id), claim.key) then return 'conflict' end
  if found[2] then return 'suspended' end
end

function L.note_event(claim)
  if claim.cursor ~= '' then
    call('HSET', K.schedule(claim.id), 'cursor', claim.cursor)
  else
    call('ZADD', K.events_seen(claim.id), now, claim.key)
  end
end

local function check_event_and_room(claim)
  local refusal, holder = L.check_event(claim)
  if refusal then return refusal end
  refusal, holder = check_room(claim)
  if refusal == 'skipped' then L.note_event(claim) end
  return refusal, holder
end

local function check_backfill(claim)
  local found = call('HMGET', K.backfill(claim.backfill), 'state', 'cursor', 'max')
  if found[1] ~= 'running' then return 'suspended' end
  if tonumber(found[2] or -1) ~= claim.after then return 'conflict' end
  if call('ZCARD', K.holders(L.place_in('backfill', claim.backfill))) >= tonumber(found[3]) then return 'busy' end
end

-- Return why the run must not be created, `wait` where it is created and must wait, nil where it can begin. A slot that is skipped is noted here.
function L.check_claim(claim)
  if not claim or claim.kind == 'hand' then return nil end
  if claim.kind == 'backfill' then return check_backfill(claim) end
  if claim.kind == 'event' then return check_event_and_room(claim) end
  return check_slot(claim)
end

-- The slot was dealt with. It only grows: of two definitions with the same slots the later one wins.
function L.note_slot(id, slot)
  local key = K.schedule(id)
  if slot > tonumber(call('HGET', key, 'slot') or -1) then call('HSET', key, 'slot', slot) end
end

-- Note that the run is made for the slot; return whether it has its place in the schedule.
function L.take_slot(claim, run, waits)
  if not claim then return true end
  call('HSET', K.run(run), 'schedule', claim.id)
  if claim.kind ~= 'event' then call('HSET', K.run(run), 'slot', claim.slot) end
  if claim.kind == 'hand' then
    L.log_slot(claim.id, claim.slot, 'run', 'by_hand', run)
    return true
  end
  local kind, id = 'schedule', claim.id
  if claim.kind == 'backfill' then
    kind, id = 'backfill', claim.backfill
    call('HSET', K.backfill(id), 'cursor', claim.slot)
    call('HINCRBY', K.backfill(id), 'created', 1)
    call('HSETNX', K.backfill(id), 'code', claim.code)
  else
    if claim.kind == 'event' then L.note_event(claim) else L.note_slot(claim.id, claim.slot) end
    call('HSET', K.schedule(claim.id), 'run', run)
    L.log_slot(claim.id, claim.slot, 'run', '', run)
  end
  local place = L.place_in(kind, id)
  call('HSET', K.run(run), 'place', place)
  if not waits then
    call('ZADD', K.holders(place), now, run)
    return true
  end
  if claim.overlap == 'cancel_running' then L.make_room(place, 1) end
  L.wait_for_turn(run, place, 'start')
  L.event(run, '', '-', 'queued', 'schedule', 0, 1)
  return false
end

-- End a pause. `upto`: slots up to then are not made up, nil: the schedule's `catch_up` decides.
function L.resume_schedule(id, upto)
  call('HDEL', K.schedule(id), 'paused', 'paused_at', 'by', 'note', 'until')
  if upto then L.note_slot(id, upto) end
end
