-- webhook/acknowledge: records the outcome of a webhook's delivery
-- edges: -
-- args: id tries outcome delay
-- guard: no other worker has taken it meanwhile: `tries` is that of the taking
-- replies: {done | fenced | not_found}
-- uses: -
-- `outcome` is over (delivered, or given up), again (in `delay` ms), or back (it was not tried, and does not count).
function T.acknowledge()
  local id, tries, outcome, delay = A.text(), A.number(), A.text(), A.number()
  local key = K.webhook(id)
  local current = tonumber(call('HGET', key, 'tries') or nil)
  if not current then return { 'not_found' } end
  if current ~= tries then return { 'fenced' } end
  if outcome == 'over' then
    call('DEL', key)
    call('ZREM', K.webhooks(), id)
    return { 'done' }
  end
  if outcome == 'back' then call('HSET', key, 'tries', tries - 1) end
  call('ZADD', K.webhooks(), outcome == 'back' and now or now + delay, id)
  return { 'done' }
end
