-- job/claim_by_id: gives one named job to the calling process, past the queue (sync mode)
-- edges: queued -> started, scheduled -> started
-- args: id worker claim_id lease
-- guard: queued, or scheduled for a retry or repetition; the same claim id gets the same answer again
-- replies: as claim; {} when another worker has the job, or it is not ready
-- uses: job/claim
-- Suspension does not apply: it holds workers back, and here only the caller waits.
function L.take(id, worker, claim_id, lease)
  local job, flat = L.load_flat(id)
  if not job then return {} end
  if job.status == 'started' and string.match(job.token, '^%d+%-(.*)$') == claim_id then return L.claim_answer(job, job.token) end
  local again = job.status == 'scheduled' and (job.reason == 'retry' or job.reason == 'repeat')
  if job.run or (job.status ~= 'queued' and not again) then return {} end
  return L.start(job, flat, worker, claim_id, lease)
end

function T.claim_by_id()
  local reply = L.take(A.text(), A.text(), A.text(), A.number())
  L.drain(0)
  return reply
end
