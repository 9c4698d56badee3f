-- job/create_and_claim: creates a plain job that its creator executes itself (sync mode)
-- edges: -
-- args: worker claim_id lease id, then those of create
-- guard: those of create and take, each on its own
-- replies: {reply of create, reply of take}
-- uses: job/create job/claim_by_id
-- A composite, because between two calls a worker could claim the job.
function T.create_and_claim()
  local worker, claim_id, lease, id = A.text(), A.text(), A.number(), A.text()
  local created = L.create()
  L.spread(100)
  local taken = (created[1] == 'done' or created[1] == 'duplicate') and L.take(id, worker, claim_id, lease) or {}
  L.drain(100)
  return { created, taken }
end
