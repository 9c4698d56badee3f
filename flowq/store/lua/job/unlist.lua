-- job/unlist: takes an ended plain job out of its registry; its record stays until it expires
-- edges: -
-- args: id
-- guard: ended, listed, and not of a run
-- replies: {done | wrong_state | not_found}
-- uses: lib/status
-- A requeue lists it again.
function T.unlist()
  local id = A.text()
  local status, queue, run = unpack(call('HMGET', K.job(id), 'status', 'queue', 'run'))
  if not status then return { 'not_found' } end
  if run or not L.ended(status) or call('ZREM', K.registry(status, queue), id) == 0 then return { 'wrong_state' } end
  call('HSET', K.job(id), 'unlisted', '1')
  return { 'done' }
end
