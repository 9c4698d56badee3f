-- queue/delete: removes a queue from the list of queues
-- edges: -
-- args: queue
-- guard: nothing waits in it
-- replies: {done | wrong_state}
-- uses: -
-- memory: also when none is left
-- Its next job lists it again.
function T.delete()
  local queue = A.text()
  if call('EXISTS', K.queue(queue)) == 1 then return { 'wrong_state' } end
  call('SREM', K.queues(), queue)
  call('DEL', K.wake(queue), K.ttls(queue))
  return { 'done' }
end
