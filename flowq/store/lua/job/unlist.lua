-- job/unlist: takes an ended plain job out of its registry; its record stays until it expires
-- edges: -
-- args: id
-- guard: ended, and not of a run; one that was taken out before stays so
-- replies: {done | wrong_state | not_found}
-- uses: lib/status
-- A requeue lists it again.
function T.unlist()
  local id = A.text()
  local status, queue, run = unpack(call('HMGET', K.job(id), 'status', 'queue', 'run'))
  if not status then return { 'not_found' } end
  if run or not L.ended(status) then return { 'wrong_state' } end
  call('ZREM', K.registry(status, queue), id)
  call('HSET', K.job(id), 'unlisted', '1')
  return { 'done' }
end
