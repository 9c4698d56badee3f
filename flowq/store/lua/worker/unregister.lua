-- worker/unregister: removes a worker from the list of workers
-- edges: -
-- args: worker nonce
-- guard: with a nonce, the place is not that of a later worker of the same name
-- replies: {done | not_found}
-- uses: -
-- memory: also when none is left
-- Jobs it may still hold keep their leases: they are reaped, not forgotten.
function T.unregister()
  local worker, nonce = A.text(), A.text()
  if nonce ~= '' and call('HGET', K.worker(worker), 'nonce') ~= nonce then return { 'not_found' } end
  call('ZREM', K.workers(), worker)
  call('DEL', K.worker(worker), K.call(worker))
  return { 'done' }
end
