-- worker/register: a worker announces itself
-- edges: -
-- args: worker fields*
-- guard: -
-- replies: {done}
-- uses: -
function T.register()
  local worker, fields = A.text(), A.list()
  local key = K.worker(worker)
  call('DEL', key)
  call('HSET', key, 'started', now, 'beat', now, 'finished', 0, 'failed', 0, 'working_ms', 0, unpack(fields))
  call('PEXPIRE', key, 86400000)
  call('ZADD', K.workers(), now, worker)
  return { 'done' }
end
