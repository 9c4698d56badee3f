-- command: one worker is told something
-- edges: -
-- args: worker command
-- guard: the worker is there
-- replies: {done | not_found}
-- uses: jobs
-- What it is told is a field of its record, the call only wakes it: nothing that comes from a key is ever decoded or imported.
function T.command()
  local worker, command = A.text(), A.text()
  if not call('ZSCORE', K.workers(), worker) then return { 'not_found' } end
  call('HSET', K.worker(worker), 'command', command)
  L.call_worker(worker)
  return { 'done' }
end
