-- worker/unregister: a worker says goodbye
-- edges: -
-- args: worker
-- guard: -
-- replies: {done}
-- uses: -
-- Jobs it may still hold keep their leases: they are reaped, not forgotten.
function T.unregister()
  local worker = A.text()
  call('ZREM', K.workers(), worker)
  call('DEL', K.worker(worker), K.call(worker))
  return { 'done' }
end
