-- lib/parents: the edges from a plain job to the jobs that it depends on, attached and released in bounded steps
-- uses: lib/status lib/outbox lib/conditions lib/job_end
-- loaded: on first use
-- A job holds its parents' records (field `open_dependents`) from its creation to its first end. It counts one edge more than it has until all are attached,
-- so that it cannot become ready before.
local RPUSHED = 1000 -- arguments of one command; the stack of Lua is bounded

-- Hold the records of all parents at once: one that has ended would expire by itself.
function L.hold_parents(id, edges)
  for i = 1, #edges, RPUSHED do call('RPUSH', K.parents(id), unpack(edges, i, math.min(i + RPUSHED - 1, #edges))) end
  for _, edge in ipairs(edges) do
    local parent = string.match(edge, '^(.*)|')
    call('HINCRBY', K.job(parent), 'open_dependents', 1)
    if call('PTTL', K.job(parent)) >= 0 then L.keep(L.load(parent)) end
  end
end

-- Attach up to `budget` edges of a job, from `cursor` on. What its parents' ends decide happens here: it is skipped, or with the last edge
-- it may become ready. Returns the next cursor, nil when all is done.
function L.attach(job, cursor, budget)
  local edges = call('LRANGE', K.parents(job.id), cursor, cursor + budget - 1)
  local decided = 0
  for _, edge in ipairs(edges) do
    local parent_id, condition = string.match(edge, '^(.*)|(%w+)$')
    local parent = L.load(parent_id)
    if not parent then return L.end_job(job, 'skipped', 'upstream_canceled') end -- deleted meanwhile
    if L.ended(parent.status) then
      L.keep(parent)
      if not L.holds(parent, condition) then return L.end_job(job, 'skipped', L.reason_of(parent)) end
      decided = decided + 1
    else
      call('RPUSH', K.children(parent.id), job.id .. '|' .. job.nonce .. '|' .. condition)
      call('HSET', K.job(parent.id), 'has_dependents', '1')
    end
  end
  local last = #edges < budget
  job.pending = call('HINCRBY', K.job(job.id), 'pending', -decided - (last and 1 or 0))
  if not last then return cursor + budget end
  if job.pending == 0 then L.ready(job) end
  return nil
end

-- `entry` is "<id>|<nonce>": another job may have the id by now.
function L.step.attach(entry, cursor, budget)
  local id, nonce = string.match(entry, '^(.*)|([^|]*)$')
  local job = L.load(id)
  if not job or job.nonce ~= nonce or job.status ~= 'deferred' then return 0, nil end
  local rest = L.attach(job, cursor, budget)
  return budget, rest
end
