-- webhook/claim: gives due webhooks to a worker that delivers them
-- edges: -
-- args: limit margin job
-- guard: due: not taken by another worker, or that one has had its time
-- replies: {id, tries, fields* for each}
-- uses: lib/set_aside
-- Taken for the webhook's own timeout and `margin` ms more; one not acknowledged by then is due again. `job`: only those of
-- one job ('' for all).
local function take(id, margin)
  local timeout = tonumber(call('HGET', K.webhook(id), 'timeout'))
  if not timeout then error({ err = 'there is no such delivery, or it has no timeout' }) end
  local tries = call('HINCRBY', K.webhook(id), 'tries', 1)
  call('ZADD', K.webhooks(), now + margin + timeout, id)
  return { id, tries, call('HGETALL', K.webhook(id)) }
end

function T.claim()
  local limit, margin, job = A.number(), A.number(), A.text()
  local taken = {}
  for _, id in ipairs(call('ZRANGEBYSCORE', K.webhooks(), '-inf', now, 'LIMIT', 0, job == '' and limit or 1000)) do
    if #taken < limit and (job == '' or string.sub(id, 1, #job + 1) == job .. '|') then
      local well, delivery = L.guarded('webhook', id, take, id, margin)
      if not well then call('ZREM', K.webhooks(), id) end
      taken[#taken + 1] = delivery
    end
  end
  return taken
end
