-- job/time_out_approval: fails an approval that was not decided in time
-- edges: deferred -> failed
-- args: id
-- guard: an approval that waits for its decision, whose time is over
-- replies: {done | wrong_state}
-- uses: job/release_dependents
function L.lapse(id)
  local job = L.load(id)
  if not job or job.kind ~= 'approval' or job.status ~= 'deferred' or job.reason ~= 'approval' or not job.approval_timeout then return 'wrong_state' end
  if tonumber(job.asked_at) + tonumber(job.approval_timeout) > now then return 'wrong_state' end
  call('SET', K.result(id), 'the approval timed out after ' .. string.format('%g', tonumber(job.approval_timeout) / 1000) .. ' s and counts as rejected')
  L.end_job(job, 'failed', 'rejected')
  return 'done'
end

function T.time_out_approval()
  local outcome = L.lapse(A.text())
  L.drain(100)
  return { outcome }
end
