-- lib/parents: the edges from a plain job to the jobs that it depends on, attached and released in bounded steps
-- uses: lib/status lib/outbox lib/conditions lib/job_end
-- A job holds its parents' records (field `open_dependents`) from its creation to its first end, and again while it is revived. It counts one edge more than it has until all are attached,
-- so that it cannot become ready before.
local RPUSHED = 1000 -- arguments of one command; the stack of Lua is bounded

-- Hold the records of these parents at once: one that has ended would expire by itself. An edge that is `met` needs none.
function L.hold_parents(edges)
  for _, edge in ipairs(edges) do
    local parent, condition = string.match(edge, '^(.*)|(%w+)$')
    if condition ~= 'met' then
      call('HINCRBY', K.job(parent), 'open_dependents', 1)
      if call('PTTL', K.job(parent)) >= 0 then L.keep(L.load(parent)) end
    end
  end
end

function L.add_parents(id, edges)
  for i = 1, #edges, RPUSHED do call('RPUSH', K.parents(id), unpack(edges, i, math.min(i + RPUSHED - 1, #edges))) end
  L.hold_parents(edges)
end

-- List an edge below a parent. Below one that has ended and that holds the job back (`decided`) it is listed for a requeue of that one.
function L.list_below(parent, job, condition, decided)
  local key = K.children(parent.id)
  local through = decided and not L.unsettled(parent)
  local length = call('RPUSH', key, job.id .. '|' .. L.mark(job) .. '|' .. condition)
  call('HSET', K.job(parent.id), 'has_dependents', '1')
  if not decided then return end
  if through then call('HSET', K.job(parent.id), 'settled', length) end
  local ttl = call('PTTL', K.job(parent.id))
  if ttl >= 0 then call('PEXPIRE', key, ttl) end
end

-- Attach one edge. Returns whether it is decided, and why the job is to be skipped (nil: it is not).
local function attach_edge(job, edge)
  local parent_id, condition = string.match(edge, '^(.*)|(%w+)$')
  if condition == 'met' then return true end
  local parent = L.load(parent_id)
  if not parent then return true, 'upstream_canceled' end -- deleted meanwhile
  if not L.ended(parent.status) then
    L.list_below(parent, job, condition, false)
    return false
  end
  if job.status ~= 'skipped' then L.keep(parent) end
  if L.holds(parent, condition) then
    if job.status == 'skipped' then L.change_edge(job.id, parent_id, 'met') end
    return true
  end
  L.list_below(parent, job, condition, true)
  return true, L.reason_of(parent)
end

-- Attach up to `budget` edges of a job, from `cursor` on. What its parents' ends decide happens here: it is skipped, or with the last edge
-- it may become ready. The edges of a skipped job are attached too, so that it can be revived. Returns the next cursor, nil when all is done.
function L.attach(job, cursor, budget)
  local edges = call('LRANGE', K.parents(job.id), cursor, cursor + budget - 1)
  local decided, reason = 0, nil
  for _, edge in ipairs(edges) do
    local done, why = attach_edge(job, edge)
    reason = reason or why
    if done then decided = decided + 1 end
  end
  local rest = #edges == budget and cursor + budget or nil
  if job.status == 'skipped' then return rest end
  if reason then
    L.end_job(job, 'skipped', reason)
    return rest
  end
  job.pending = call('HINCRBY', K.job(job.id), 'pending', -decided - (rest and 0 or 1))
  if not rest and job.pending == 0 then L.ready(job) end
  return rest
end

-- `entry` is "<id>|<mark>": another job may have the id by now.
function L.step.attach(entry, cursor, budget)
  local id, mark = string.match(entry, '^(.*)|([^|]*)$')
  local job = L.load(id)
  if not job or L.mark(job) ~= mark or not (job.status == 'deferred' or job.status == 'skipped') then return 0, nil end
  local rest = L.attach(job, cursor, budget)
  return budget, rest
end
