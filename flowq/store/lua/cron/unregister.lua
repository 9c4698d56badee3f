-- cron/unregister: removes a cron scheduler from the list
-- edges: -
-- args: scheduler nonce
-- guard: the name is still its own
-- replies: {done | not_found}
-- uses: -
-- memory: also when none is left
-- The slots of its entries are kept: the next scheduler continues from there.
function T.unregister()
  local name, nonce = A.text(), A.text()
  if call('HGET', K.scheduler(name), 'nonce') ~= nonce then return { 'not_found' } end
  call('ZREM', K.schedulers(), name)
  call('DEL', K.scheduler(name))
  return { 'done' }
end
