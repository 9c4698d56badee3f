-- lib/groups: groups of plain jobs: their members, the counts by status, and the expiry of the last record
-- uses: lib/status
-- A job's field `group_id` names its group. The hash `group` counts its jobs: `jobs:<status>` (of one whose record has expired, how it
-- ended), `open` those that have not ended, `coming` those that a producer is about to add. `members` has each with the time at
-- which its record expires, +inf while that is not known. Both keys, and the entry in `groups`, live exactly as long as the last
-- record: written in the transition that sets a record's life, so that nothing has to be cleaned up afterwards.
local COMING = 60000 -- ms after which a group stops waiting for a producer that adds no more jobs

local function until_text(score)
  return string.format('%.0f', score)
end

local function last_of(key)
  return tonumber(call('ZRANGE', key, -1, -1, 'WITHSCORES')[2])
end

local function live_until(key, score)
  if score == math.huge then call('PERSIST', key) else call('PEXPIREAT', key, until_text(score)) end
end

-- Set the group's expiry to that of its longest-lived member.
local function settle(name)
  local members, groups = K.members(name), K.groups()
  local last = last_of(members)
  call('ZREMRANGEBYSCORE', groups, '-inf', now)
  if last then
    live_until(members, last)
    live_until(K.group(name), last)
    call('ZADD', groups, last == math.huge and '+inf' or until_text(last), name)
  else
    call('DEL', K.group(name))
    call('ZREM', groups, name)
  end
  last = last_of(groups)
  if last then live_until(groups, last) end
end

-- Whether all of a group have ended and no client is adding to it; nil when there is none.
function L.group_complete(name)
  local found = call('HMGET', K.group(name), 'open', 'coming', 'coming_until')
  if not found[1] then return nil end
  return tonumber(found[1]) <= 0 and (tonumber(found[2] or 0) <= 0 or tonumber(found[3]) <= now or tonumber(found[3]) > now + COMING)
end

local function wake_if_complete(name)
  local waiters = tonumber(call('HGET', K.group(name), 'waiters') or 0)
  if waiters == 0 or not L.group_complete(name) then return end
  local key = K.gathered(name)
  for _ = 1, math.min(waiters, 1000) do call('RPUSH', key, '') end
  call('PEXPIRE', key, 60000)
  call('HDEL', K.group(name), 'waiters')
end

-- A request adds jobs: the first one says how many follow it, each of the others is one of these.
function L.group_coming(name, delta)
  if delta == 0 then return end
  local key = K.group(name)
  if call('HINCRBY', key, 'coming', delta) < 0 then call('HSET', key, 'coming', 0) end
  call('HSET', key, 'coming_until', now + COMING)
end

-- One of the jobs of a request cannot be created.
function L.group_without(name)
  if call('EXISTS', K.members(name)) == 0 then return end
  L.group_coming(name, -1)
  wake_if_complete(name)
end

-- Part of every change of status of a job in a group; from or to "-" it joins or leaves. A draft has not joined yet.
function L.group_moved(job, from, to)
  if from == 'created' then from = '-' end
  if from == to then return end
  local name, key = job.group_id, K.group(job.group_id)
  local was_open = from ~= '-' and not L.ended(from)
  local is_open = to ~= '-' and not L.ended(to)
  if from ~= '-' then
    if call('HINCRBY', key, 'jobs:' .. from, -1) == 0 then call('HDEL', key, 'jobs:' .. from) end
  end
  if to ~= '-' then call('HINCRBY', key, 'jobs:' .. to, 1) end
  if was_open ~= is_open or from == '-' then call('HINCRBY', key, 'open', (is_open and 1 or 0) - (was_open and 1 or 0)) end
  if to == '-' then
    call('ZREM', K.members(name), job.id)
    wake_if_complete(name)
    settle(name)
  elseif from == '-' or (is_open and not was_open) then
    call('ZADD', K.members(name), '+inf', job.id)
    settle(name)
  end
  if was_open and not is_open then wake_if_complete(name) end
end

-- The life of an ended job's record is known (`ttl` ms), or it is kept again (nil).
function L.group_record(job, ttl)
  local members = K.members(job.group_id)
  call('ZREMRANGEBYSCORE', members, '-inf', now)
  if ttl == 0 then
    call('ZREM', members, job.id)
  else
    call('ZADD', members, ttl and until_text(now + ttl) or '+inf', job.id)
  end
  settle(job.group_id)
end
