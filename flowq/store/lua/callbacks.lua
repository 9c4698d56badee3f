-- callbacks: the failure callbacks of lost executions go to a worker that serves their queue
-- edges: -
-- args: limit queues*
-- guard: an entry is handed out again when nobody said in time that it was called; with its job, it goes
-- replies: {id, execution, callback}…
-- uses: jobs
-- Whoever notices that a worker is lost may be one without the job's code, so reap only notes what is to be called.
local GRACE = 30000 -- ms above the callback's own time

function T.callbacks()
  local limit, queues = A.number(), A.list()
  local out = {}
  for _, queue in ipairs(queues) do
    for _, entry in ipairs(call('ZRANGEBYSCORE', K.callbacks(queue), '-inf', now, 'LIMIT', 0, limit - #out)) do
      local execution, id = string.match(entry, '^(%d+)|(.*)$')
      local callback = call('HGET', K.job(id), 'on_failure')
      if callback then
        local seconds = tonumber(string.match(callback, '|([%d.e+]+)$')) or 60
        call('ZADD', K.callbacks(queue), now + math.ceil(seconds * 1000) + GRACE, entry)
        out[#out + 1] = { id, execution, callback }
      else
        call('ZREM', K.callbacks(queue), entry)
      end
    end
  end
  return out
end
