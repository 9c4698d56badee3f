-- worker/exchange: a worker's one call per job: its logs, the ends of its executions, and new claims for its free slots
-- edges: -
-- args: worker lease queues* logs (id token index stream data)… ends (see finish)… claims*
-- guard: those of logs, finish and claim, each on its own
-- replies: {outcomes joined by blanks, claims*, 1 when dependents are left to release, 2 when a webhook is due}
-- uses: job/claim job/finish job/append_logs lib/outages
-- rights: hset zadd xadd zrem pexpire set del
-- A composite of shared fragments: it has no rule of its own.
function T.exchange()
  local worker, lease, queues = A.text(), A.number(), A.list()
  L.note_service(lease)
  for _ = 1, A.number() do L.guarded('output', ARGV[A.at + 1], L.logs) end
  local outcomes = {}
  for i = 1, A.number() do
    local _, outcome = L.guarded('job', ARGV[A.at + 1], L.finish)
    outcomes[i] = outcome or 'fenced'
  end
  L.spread(100)
  local claim_ids, claims, more = A.list(), {}, 0
  for _ = 1, 2 do -- once more for what jobs have released that a claim has met and ended: the worker must not take the queues for dry
    local empty, released = false, 0
    for slot, claim_id in ipairs(claim_ids) do
      if empty then
        claims[slot] = {}
      elseif not (claims[slot] and claims[slot][1]) then
        claims[slot], empty = L.claim(worker, slot, claim_id, lease, queues)
      end
    end
    released, more = L.drain(100)
    if not empty or released == 0 then break end
  end
  return { table.concat(outcomes, ' '), claims, rawget(L, 'posted') and 2 or more }
end
