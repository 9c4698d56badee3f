-- lib/audit: sets aside entries of registries that are not jobs of their status
-- uses: lib/set_aside
-- All other structures are read by the work that is due; a registry only by users, so such an entry would stay and be counted. Every third
-- second, sweeps look at one page of every registry of one queue, the next time at the next one.
local STATUSES = { 'started', 'scheduled', 'deferred', 'rate_limited', 'finished', 'failed', 'stopped', 'canceled', 'skipped' }
local OPEN = 4 -- so many of them have no end
local PAGE = 20 -- entries
local SECOND, PERIOD = 1000, 3000 -- ms; a sweep that looks takes three times as long

local function look(status, id, expiry)
  local said = call('HGET', K.job(id), 'status')
  if expiry and not said and expiry <= now then return end -- its record has expired, and entries of such jobs go later
  local text = L.misplaced(said, status)
  if text then error({ err = text }) end
end

local function audit(kind, key, status, number, ended)
  local pages = math.max(1, math.ceil(call('ZCARD', key) / PAGE))
  local from = number % pages * PAGE
  local found = call('ZRANGE', key, from, from + PAGE - 1, 'WITHSCORES')
  for i = 1, #found, 2 do
    if not L.guarded(kind, found[i], look, status, found[i], ended and tonumber(found[i + 1])) then call('ZREM', key, found[i]) end
  end
end

function L.audit(queues)
  if #queues == 0 or now % PERIOD >= SECOND then return end
  local turn = math.floor(now / PERIOD)
  local queue, number = queues[turn % #queues + 1], math.floor(turn / #queues)
  for i, status in ipairs(STATUSES) do
    local kind = status .. ' ' .. queue
    L.guarded('registry', kind, audit, kind, K.registry(status, queue), status, number, i > OPEN)
  end
  L.guarded('registry', 'ttl ' .. queue, audit, 'ttl ' .. queue, K.ttls(queue), 'queued', number, false)
end
