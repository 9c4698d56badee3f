-- worker/acknowledge_lost_callback: records that the failure callback of a lost execution was called
-- edges: -
-- args: queue id execution nonce
-- guard: it was to be called
-- replies: {done | duplicate}
-- uses: job/release_dependents
function T.acknowledge_lost_callback()
  local queue, id, execution, nonce = A.text(), A.text(), A.text(), A.text()
  if call('ZREM', K.callbacks(queue), execution .. ':' .. nonce .. '|' .. id) == 0 then return { 'duplicate' } end
  local job = L.load(id)
  if job and job.nonce == nonce then L.was_called(job) end
  return { 'done' }
end
