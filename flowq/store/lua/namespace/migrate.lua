-- namespace/migrate: converts a batch of records from schema 1 to schema 2
-- edges: -
-- args: count
-- guard: a field is renamed where it has its old name; times are converted where the record has its old form (a job has `origin`)
-- replies: {records changed, 1 when more are to be looked at}
-- uses: lib/server
-- Schema 2 spells out the names of fields, and has every time in milliseconds. The field `migration` of the namespace is
-- "<id of the server> <cursor>": clients share the walk over the keys, so one that dies is continued by the next. A cursor is worth
-- nothing to another process of the server: after a restart or fail-over the walk begins again and passes over what is done.
local FIELDS = {
  job = {
    origin = 'queue', sems = 'semaphores', base_sems = 'base_semaphores', limit = 'rate_limit', ff = 'fail_fast', gff = 'group_fail_fast',
    excuse = 'allow_failure', kids = 'has_dependents', refs = 'open_dependents', freed = 'parents_released', ends = 'earlier_ends',
    why = 'cancel_reason', uncalled = 'pending_callbacks', at = 'not_before', wait = 'approval_timeout', ['if'] = 'needs_evaluation',
  },
  run = {
    sem = 'semaphore', max = 'max_runs', next = 'next_walk', reset = 'retry_nonce', reset_chunks = 'retry_chunks', reset_done = 'retry_applied',
    fades = 'expiry_times', fade = 'expiry_step', fade_from = 'expiry_cursor',
  },
  group = {},
}
local PREFIXES = {
  job = { ['c:'] = 'cell:', ['g:'] = 'cells:' },
  run = { ['h:'] = 'handlers:', ['n:'] = 'jobs:', ['x:'] = 'expired:' },
  group = { ['n:'] = 'jobs:' },
}
local CALLBACKS = { 'on_success', 'on_failure', 'on_stopped' }

-- The new name of a field, nil where it keeps its name. Behind `c:` stands the name of a field of the cells.
local function new_name(kind, name)
  local prefix = PREFIXES[kind][string.sub(name, 1, 2)]
  if not prefix then return FIELDS[kind][name] end
  local rest = string.sub(name, 3)
  return prefix .. (prefix == 'cell:' and FIELDS.job[rest] or rest)
end

-- Milliseconds of a text of seconds; whole ones, unless what was signed has more decimals.
local function in_milliseconds(seconds)
  return string.format('%.15g', tonumber(seconds) * 1000)
end

-- The times of a plain job that schema 1 had in seconds, as a flat list of fields.
local function times_of(key)
  local out = {}
  local timeout = tonumber(call('HGET', key, 'timeout') or nil)
  if timeout then out = { 'timeout', timeout < 0 and -1 or string.format('%.0f', math.max(1, timeout * 1000)) } end
  for _, name in ipairs(CALLBACKS) do
    local func, seconds = string.match(call('HGET', key, name) or '', '^(.*)|([^|]*)$')
    if tonumber(seconds or nil) then out[#out + 1], out[#out + 2] = name, func .. '|' .. in_milliseconds(seconds) end
  end
  return out
end

local function migrate_record(kind, key)
  local written = kind == 'job' and call('HEXISTS', key, 'origin') == 1 and times_of(key) or {}
  local flat, removed = call('HGETALL', key), {}
  for i = 1, #flat, 2 do
    local name = new_name(kind, flat[i])
    if name then
      removed[#removed + 1] = flat[i]
      written[#written + 1], written[#written + 2] = name, flat[i + 1]
    end
  end
  if #removed == 0 then return 0 end
  call('HSET', key, unpack(written)) -- first: a key without fields would lose its expiry
  call('HDEL', key, unpack(removed))
  return 1
end

function T.migrate()
  local count = A.number()
  local state = call('HGET', KEYS[1], 'migration')
  if not state then return { 0, 0 } end
  local server, cursor = string.match(state, '^(%S+) (%d+)$')
  local here = L.server_id()
  if not here then return redis.error_reply('NOPERM the migration of data to another schema needs INFO and SCAN') end
  local pattern = string.gsub(NS, '[%[%]*?\\]', '\\%0') .. '*'
  local next_cursor, keys = unpack(call('SCAN', server == here and cursor or '0', 'MATCH', pattern, 'COUNT', count, 'TYPE', 'hash'))
  local changed = 0
  for _, key in ipairs(keys) do
    local kind = string.match(string.sub(key, #NS + 1), '^(%a+):')
    if FIELDS[kind] then changed = changed + migrate_record(kind, key) end
  end
  if next_cursor == '0' then
    call('HDEL', KEYS[1], 'migration')
    return { changed, 0 }
  end
  call('HSET', KEYS[1], 'migration', here .. ' ' .. next_cursor)
  return { changed, 1 }
end
