-- webhook/claim: gives due webhooks to a worker that delivers them
-- edges: -
-- args: limit margin job
-- guard: due: not taken by another worker, or that one has had its time
-- replies: {id, tries, fields* for each}
-- uses: -
-- Taken for the webhook's own timeout and `margin` ms more; one not acknowledged by then is due again. `job`: only those of
-- one job ('' for all).
function T.claim()
  local limit, margin, job = A.number(), A.number(), A.text()
  local taken = {}
  for _, id in ipairs(call('ZRANGEBYSCORE', K.webhooks(), '-inf', now, 'LIMIT', 0, job == '' and limit or 1000)) do
    if #taken < limit and (job == '' or string.sub(id, 1, #job + 1) == job .. '|') then
      local tries = call('HINCRBY', K.webhook(id), 'tries', 1)
      local fields = call('HGETALL', K.webhook(id))
      call('ZADD', K.webhooks(), now + margin + tonumber(call('HGET', K.webhook(id), 'timeout')), id)
      taken[#taken + 1] = { id, tries, fields }
    end
  end
  return taken
end
