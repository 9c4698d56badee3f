-- lib/revival: jobs that were skipped because of a job that was requeued wait for it again, hop by hop, in bounded steps
-- uses: lib/status lib/outbox lib/conditions lib/job_end lib/parents
-- A skipped job is listed below at least one of the jobs that hold it back. The requeue of that one revives it, or lists it below another
-- one that holds it back. A revived job is attached to its parents as a new one is; its field `revived` makes earlier edges to it void.
local LOOKED_AT = 100 -- parents looked at before a job is revived; what the others say is seen when it is attached to them

-- A parent of a skipped job has ended, and what that one was to wait for is decided: its record may expire before the job is revived.
function L.decided_below_skipped(parent, id, child, condition)
  if condition == 'removed' or L.holds(parent, condition) then L.change_edge(child.id, id, 'met') end
end

-- Whether a parent still holds the job back.
local function is_held_back(job, edges)
  for i, edge in ipairs(edges) do
    local id, condition = string.match(edge, '^(.*)|(%w+)$')
    if condition ~= 'met' then
      if call('EXISTS', K.job(id)) == 0 then return true end
      local parent = i <= LOOKED_AT and L.load(id)
      if parent and L.ended(parent.status) and not L.holds(parent, condition) then
        local listed = call('LPOS', K.children(id), job.id .. '|' .. L.mark(job) .. '|' .. condition)
        if not listed then L.list_below(parent, job, condition, true) end
        return true
      end
    end
  end
  return false
end

local function revive(job, edges)
  L.keep(job)
  L.hold_parents(edges)
  call('HDEL', K.job(job.id), 'ended_at', 'parents_released', 'unlisted')
  job.ended_at, job.parents_released = nil, nil
  job.revived = tonumber(job.revived or 0) + 1
  L.set_status(job, 'deferred', nil, now, { 'revived', job.revived, 'pending', #edges + 1 })
  if job.has_dependents then L.push('revive', job.id, 0) end
  local rest = L.attach(job, 0, LOOKED_AT)
  if rest then L.push('attach', job.id .. '|' .. L.mark(job), rest) end
end

-- Revive the job at the end of an edge. Returns whether it did, and how many edges it looked at.
local function revive_below(edge)
  local id, nonce, condition = string.match(edge, '^([^|]*)|([^|~]*)[^|]*|(%w+)$')
  local job = id and L.load(id)
  if not job or job.status ~= 'skipped' or job.nonce ~= nonce or condition == 'removed' then return false, 1 end
  local edges = call('LRANGE', K.parents(id), 0, -1)
  if is_held_back(job, edges) then return false, #edges end
  revive(job, edges)
  return true, #edges
end

-- Revive the jobs that the ends of this job, all of whose edges until `settled` are decided, have skipped. The edge to a revived one is
-- listed again where the job has not ended, so this one is dropped, unless others are still to be decided by their numbers.
function L.step.revive(id, cursor, budget)
  local job = L.load(id)
  local settled = job and tonumber(job.settled) or 0
  local used, key = 0, K.children(id)
  cursor = math.max(cursor, job and tonumber(job.inherited) or 0)
  while cursor < settled and used < budget do
    local revived, looked_at = revive_below(call('LINDEX', key, cursor))
    used = used + looked_at
    if revived and not job.earlier_ends then
      call('LSET', key, cursor, '')
      call('LREM', key, 1, '')
      settled = call('HINCRBY', K.job(id), 'settled', -1)
    else
      cursor = cursor + 1
    end
  end
  return used, cursor < settled and cursor or nil
end
