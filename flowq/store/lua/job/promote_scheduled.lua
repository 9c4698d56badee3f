-- job/promote_scheduled: queues a scheduled job that is due
-- edges: scheduled -> queued, scheduled -> deferred (its semaphores are taken), scheduled -> rate_limited
-- args: id
-- guard: scheduled, and due
-- replies: {done | wrong_state}
-- uses: job/release_dependents
function L.promote(id)
  local job = L.load(id)
  if not job or job.status ~= 'scheduled' or tonumber(job.due or 0) > now then return 'wrong_state' end
  L.enqueue(job, job.reason)
  return 'done'
end

function T.promote_scheduled()
  return { L.promote(A.text()) }
end
