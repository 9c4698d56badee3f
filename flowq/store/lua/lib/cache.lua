-- lib/cache: results of a job that its later runs reuse, by the digest of their inputs
-- uses: -
-- `cache:<identity>` is a hash: "=<digest>" -> "<ms> <record of the result>", `latest` -> the inputs of the latest one, `order` ->
-- the digests, the one used last at the end. `cached:<identity>` has the results. Both expire when they were not used for their ttl.
local CACHED_KEPT = 10 -- results of one job
local CACHED_FOR = 30 * 86400000 -- ms, without a ttl

local NOTHING = { digest = '', record = '' }

-- Read what a worker reports: {} for a job without `cache`.
function L.cache_report(list)
  if #list == 0 then return NOTHING end
  return { info = list[1], id = list[2], digest = list[3] or '', record = list[4] or '', latest = list[5], ttl = tonumber(list[6] or '') }
end

function L.cache_hit(report)
  return report.digest ~= '' and report.record == ''
end

local function used(report)
  local order = {}
  for digest in string.gmatch(call('HGET', K.cache(report.id), 'order') or '', '%S+') do
    if digest ~= report.digest then order[#order + 1] = digest end
  end
  order[#order + 1] = report.digest
  while #order > CACHED_KEPT do
    local oldest = table.remove(order, 1)
    call('HDEL', K.cache(report.id), '=' .. oldest)
    call('HDEL', K.cached(report.id), oldest)
  end
  call('HSET', K.cache(report.id), 'order', table.concat(order, ' '))
  local left = report.ttl or CACHED_FOR
  if report.ttl and report.record == '' then -- with a ttl, use does not extend a result's life
    local made = string.match(call('HGET', K.cache(report.id), '=' .. report.digest) or '', '^(%d+)')
    left = (tonumber(made) or now) + report.ttl - now
  end
  for _, key in ipairs({ K.cache(report.id), K.cached(report.id) }) do
    if call('PTTL', key) < left then call('PEXPIRE', key, left) end
  end
end

-- Return the result to reuse, nil when it has expired meanwhile.
function L.cache_take(report)
  local value = call('HGET', K.cached(report.id), report.digest)
  if not value then return nil end
  call('HSET', K.cache(report.id), 'latest', report.latest)
  used(report)
  return value
end

function L.cache_keep(report, value)
  call('HSET', K.cache(report.id), '=' .. report.digest, now .. ' ' .. report.record, 'latest', report.latest)
  call('HSET', K.cached(report.id), report.digest, value)
  used(report)
end
