-- job/release_dependents: decides the dependents of an ended job, in bounded steps
-- edges: deferred -> queued, deferred -> scheduled, deferred -> skipped, deferred -> canceled, deferred -> finished, deferred -> failed, queued -> skipped, queued -> canceled, queued -> failed, scheduled -> skipped, scheduled -> canceled, scheduled -> failed, - -> deferred, deferred -> rate_limited, rate_limited -> queued, skipped -> deferred
-- args: budget
-- guard: a child is touched only while it is deferred; an edge is decided once, because the cursor over the parent's children moves in the same step
--   (of a plain job it is in the record, field `settled`: a second end continues where the first one was)
-- replies: {edges and jobs dealt with, 1 when the outbox holds more}
-- uses: lib/status lib/outbox lib/conditions lib/job_end lib/semaphores lib/run_cancellation lib/run_lifecycle lib/run_walks lib/foreach lib/parents lib/revival lib/notices

local FEW = 10 -- edges below a job: many of them are a fan, whose jobs wait for nothing else as a rule

-- Continue a deferred job all of whose edges hold. `decided`: a supervisor has evaluated its conditions.
function L.ready(job, decided)
  if job.kind == 'group' then return L.end_job(job, L.group_status(job), nil) end
  local mode = L.halted(job) or (L.cell_halted(job) and 'fail_fast')
  if mode then return L.halt(job, mode) end
  if job.verdict then return L.end_job(job, 'skipped', job.verdict) end -- of a retry, whose second walk has not come to it yet
  if job.needs_evaluation and not decided then
    L.stay(job)
    call('ZADD', K.decide(), now, job.id)
    L.wake('@decide')
    return
  end
  if job.kind == 'join' then return L.end_job(job, 'finished', nil) end
  if job.kind == 'approval' then
    if job.approval_timeout then call('ZADD', K.timers(), now + job.approval_timeout, 'lapse|' .. job.id) end
    if job.run then L.announce_approval(job) end
    return L.stay(job, 'approval', { 'asked_at', now })
  end
  if job.not_before and tonumber(job.not_before) > now then return L.schedule(job, tonumber(job.not_before) - now, 'delay') end
  if job.delay then return L.schedule(job, tonumber(job.delay), 'delay') end
  L.enqueue(job)
end

-- Of a job that waits for others too, the edge that has come true is only counted: its record need not be read. Returns whether that was so.
local function counted(parent, child_id, mark, condition)
  if condition == 'removed' or condition == 'done' or not L.holds(parent, condition) then return false end
  local status, pending, kind, nonce, revived = unpack(call('HMGET', K.job(child_id), 'status', 'pending', 'kind', 'nonce', 'revived'))
  if status ~= 'deferred' or kind == 'group' or L.whole(pending) <= 1 then return false end
  if mark ~= '' and L.mark({ nonce = nonce, revived = revived }) ~= mark then return false end
  call('HINCRBY', K.job(child_id), 'pending', -1)
  return true
end

-- The edge of a plain job names its creation too: "<id>|<mark>". Another job that has its id now does not depend on this parent.
-- A plain parent that was requeued before this edge was decided holds no child back: the edge is listed again, for the next end.
local function decide_edge(parent, id, edge, requeued, few)
  local child_id, mark, condition = string.match(edge, '^([^|]*)|?(.-)|(%w+)$')
  if few and counted(parent, child_id, mark, condition) then return end
  local child = L.load(child_id)
  if not child or (mark ~= '' and L.mark(child) ~= mark) then return end
  if child.status == 'skipped' and mark ~= '' then return L.decided_below_skipped(parent, id, child, condition) end
  if child.status ~= 'deferred' then return end
  if child.kind == 'group' then
    L.tally(child, parent)
  elseif condition == 'removed' then
    L.change_edge(child_id, id, 'done')
    if tonumber(child.pending) <= 1 then return L.end_job(child, 'skipped', L.reason_of(parent)) end
  elseif not L.holds(parent, condition) then
    if requeued then return call('RPUSH', K.children(id), edge) end
    local mode = L.halted(child)
    if mode == '1' or mode == '2' then return L.halt(child, mode) end
    return L.end_job(child, 'skipped', L.reason_of(parent))
  end
  if condition == 'done' and mark ~= '' then L.change_edge(child_id, id, 'done') end
  child.pending = call('HINCRBY', K.job(child_id), 'pending', -1)
  if child.pending == 0 then L.ready(child) end
end

local function decide_edges(parent, id, from, to, requeued)
  local edges = call('LRANGE', K.children(id), from, to)
  local few = #edges <= FEW
  for _, edge in ipairs(edges) do decide_edge(parent, id, edge, requeued, few) end
  return #edges
end

-- Whether edges of a plain job that has ended are still to be decided.
function L.unsettled(job)
  if not job.has_dependents then return false end
  return tonumber(call('HGET', K.job(job.id), 'settled') or 0) < call('LLEN', K.children(job.id))
end

-- A plain job that has ended is about to wait again (requeued, or created again with its id). Edges that this end has not decided yet are
-- decided by it all the same, so the size of the fan-out makes no difference. Field `earlier_ends`: "<status>|<how>|<edges until here>;"…,
-- where `how` is 1 if the failure was allowed, and 2 more if the job was requeued.
function L.remember_end(job, requeued)
  if not L.unsettled(job) then return end
  local how = tonumber(job.allowed or 0) + (requeued and 2 or 0)
  job.earlier_ends = (job.earlier_ends or '') .. string.format('%s|%d|%d;', job.status, how, call('LLEN', K.children(job.id)))
  call('HSET', K.job(job.id), 'earlier_ends', job.earlier_ends)
end

-- The plain job as it ended when that decided its edge number `at`, and the first edge that this end says nothing about (nil: it is
-- the latest), and whether the job was requeued after it. Nil when the next end will decide.
local function as_it_ended(job, at)
  for status, how, upto in string.gmatch(job.earlier_ends or '', '(%w+)|(%d)|(%d+);') do
    if at < tonumber(upto) then
      return { status = status, allowed = how % 2 == 1 and '1' or nil }, tonumber(upto), tonumber(how) >= 2
    end
  end
  return L.ended(job.status) and job or nil
end

local function edges_of_plain(job, cursor, budget)
  local key = K.job(job.id)
  local from = tonumber(job.settled or cursor)
  local ended, upto, requeued = as_it_ended(job, from)
  if not ended then
    call('HDEL', key, 'earlier_ends')
    return 0, nil
  end
  local did = decide_edges(ended, job.id, from, math.min(from + budget, upto or math.huge) - 1, requeued)
  -- The record may have gone with the last child. Entries of several ends share this cursor.
  if did > 0 and call('EXISTS', key) == 1 then call('HSET', key, 'settled', from + did) end
  if did == budget or from + did == upto then return did, from + did end
  if job.earlier_ends then call('HDEL', key, 'earlier_ends') end
  L.retire(job)
  return did, nil
end

-- Decide the edges below an ended job.
function L.step.edges(id, cursor, budget, job)
  local parent = job or L.load(id)
  if not parent then return 0, nil end
  if not parent.run then return edges_of_plain(parent, cursor, budget) end
  local did = decide_edges(parent, id, cursor, cursor + budget - 1)
  if did < budget then return did, nil end
  return did, cursor + did
end

function T.release_dependents()
  return { L.drain(A.number()) }
end
