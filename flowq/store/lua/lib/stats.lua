-- lib/stats: counters of what has happened, in one hash: any number of observers outside see the same
-- uses: -
-- A field is a series, "<kind>|<labels>…|#<bytes of the first name>|<names>": labels are words of our own tables, names those that users gave. What
-- ends in one call is added up in memory first. Programs can make any number of names: those after the first ones of a sort are counted as `other`.
local BOUNDS, BOUND_TEXTS = D.TIME_BOUNDS, {} -- Lua is slow at writing numbers
for i = 1, #BOUNDS do BOUND_TEXTS[i] = BOUNDS[i] .. '' end
local SORTS = { job = { 'flow', 'queue' }, run = { 'flow' }, slot = { 'schedule' }, lost = {} } -- of the names of each kind
local sums = {} -- per call

-- The least bound that a time is not above.
function L.bucket(ms)
  for i = 1, #BOUNDS do
    if ms <= BOUNDS[i] then return BOUND_TEXTS[i] end
  end
  return 'inf'
end

function L.series(labels, first, second)
  if first == '' then return labels .. '|#0|' .. (second or '') end
  return labels .. '|#' .. #first .. '|' .. first .. (second or '')
end

local function bounded(sort, name)
  if not sort or name == '' then return name end
  local key = K.counted_names(sort)
  if call('SISMEMBER', key, name) == 1 then return name end
  if call('SCARD', key) >= D.COUNTED_NAMES or call('HLEN', K.stats()) > D.COUNTED_SERIES then return 'other' end
  call('SADD', key, name)
  return name
end

local function write(series, by)
  if call('HINCRBY', K.stats(), series, by) ~= by then return end -- it is there
  local labels, length, names = string.match(series, '^(.-)|#(%d+)|(.*)$')
  local sorts = SORTS[string.match(labels, '^%a+')]
  local first, second = string.sub(names, 1, length), string.sub(names, length + 1)
  local own = L.series(labels, bounded(sorts[1], first), bounded(sorts[2], second))
  if own == series then return end
  call('HDEL', K.stats(), series)
  call('HINCRBY', K.stats(), own, by)
end

-- Count when the call ends (`drain`).
function L.count(series, by)
  sums[series] = (sums[series] or 0) + by
end

L.count_now = write

function L.write_counts()
  if not next(sums) then return end
  for series, by in pairs(sums) do
    write(series, by)
  end
  sums = {}
end
