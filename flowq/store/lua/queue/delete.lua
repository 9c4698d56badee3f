-- queue/delete: a queue is not listed any more
-- edges: -
-- args: queue
-- guard: nothing waits in it
-- replies: {done | wrong_state}
-- uses: -
-- Its next job lists it again.
function T.delete()
  local queue = A.text()
  if call('EXISTS', K.queue(queue)) == 1 then return { 'wrong_state' } end
  call('SREM', K.queues(), queue)
  call('DEL', K.wake(queue), K.ttls(queue))
  return { 'done' }
end
