-- job/return_claim: takes back a job that its worker cannot or may not execute; nothing is charged
-- edges: started -> queued, started -> canceled, started -> failed, started -> deferred, started -> rate_limited
-- args: id token
-- guard: the token is the job's current one
-- replies: {done | duplicate | fenced | not_found}
-- uses: job/release_dependents lib/execution_history job/finish
function T.return_claim()
  local id, token = A.text(), A.text()
  local job = L.load(id)
  local standing = L.standing(job, token)
  if standing == 'fenced' and L.handed_back(job, token) then return { 'duplicate' } end
  if standing then return { standing } end
  local outcome = L.hand_back(job)
  L.drain(100)
  return { outcome }
end
