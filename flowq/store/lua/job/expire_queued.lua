-- job/expire_queued: fails a queued job whose ttl has passed; it is never executed
-- edges: queued -> failed
-- args: id
-- guard: queued, and past its deadline
-- replies: {done | wrong_state}
-- uses: job/release_dependents
function L.expire(id)
  local job = L.load(id)
  if not job or job.status ~= 'queued' or not job.ttl then return 'wrong_state' end
  if (tonumber(job.enqueued_at) or 0) + tonumber(job.ttl) > now then return 'wrong_state' end
  L.end_job(job, 'failed', 'expired')
  return 'done'
end

function T.expire_queued()
  local outcome = L.expire(A.text())
  L.drain(100)
  return { outcome }
end
