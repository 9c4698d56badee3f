-- job/delete: deletes a plain job; its dependents are decided
-- edges: created -> -, queued -> -, started -> -, deferred -> -, scheduled -> -, finished -> -, failed -> -, stopped -> -, canceled -> -, skipped -> -, rate_limited -> -
-- args: id
-- guard: not of a run
-- replies: {done | more (very many depend on it: it is canceled, the same call again continues) | wrong_state | not_found}
-- uses: job/release_dependents
-- memory: also when none is left
-- Dependents of a job that had not ended are decided as if it had been canceled.

-- Nothing depends on its end: no dependents, group, waiting client, limit or webhook. Then it is deleted without one.
local function is_alone(job)
  return job.status == 'queued'
    and not (job.has_dependents or job.group_id or job.waiters or job.semaphores or job.rate_limit or job.webhooks or job.pending_callbacks)
end

function L.delete(id)
  local job = L.load(id)
  if not job then return 'not_found' end
  if job.run then return 'wrong_state' end
  if job.status == 'started' then
    L.call_worker(job.worker)
    if job.rate_limit then L.keep_place(job, call('ZSCORE', K.leases(), id) or now) end
  end
  if is_alone(job) then
    L.let_parents_go(L.held_parents(job))
  elseif not L.ended(job.status) then
    L.end_job(job, 'canceled', 'canceled')
  end
  -- The record decides its edges, so it is deleted after all of them are decided.
  local _, waiting = L.drain(200)
  if waiting == 1 and L.unsettled(job) then return 'more' end
  L.forget(job)
  call('DEL', unpack(L.keys_of(id)))
  return 'done'
end

function T.delete()
  return { L.delete(A.text()) }
end
