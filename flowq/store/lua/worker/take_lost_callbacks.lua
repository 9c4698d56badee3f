-- worker/take_lost_callbacks: gives the failure callbacks of lost executions to a worker that serves their queue
-- edges: -
-- args: limit queues*
-- guard: an entry is handed out again when it is not acknowledged in time; it goes with its job
-- replies: {as of claim}…
-- uses: job/release_dependents lib/execution_history
-- The worker that detects a lost worker may lack the job's code, so reap only records the callbacks to call.
local GRACE = 30000 -- ms above the callback's own time

local function take(queue, entry)
  local execution, nonce, id = string.match(entry, '^(%d+):([^|]*)|(.*)$')
  if not id then error({ err = 'no callback of a lost execution' }) end
  local job = L.load(id)
  if job and job.on_failure and job.nonce == nonce then -- not another job that has its id now
    local timeout = tonumber(string.match(job.on_failure, '|([^|]+)$')) or D.CALLBACK_TIMEOUT
    call('ZADD', K.callbacks(queue), now + math.ceil(timeout) + GRACE, entry)
    return L.claim_answer(job, execution .. '-lost')
  end
  call('ZREM', K.callbacks(queue), entry)
  if job and job.nonce == nonce then L.was_called(job) end
end

function T.take_lost_callbacks()
  local limit, queues = A.number(), A.list()
  local out = {}
  for _, queue in ipairs(queues) do
    if #out >= limit then break end
    for _, entry in ipairs(call('ZRANGEBYSCORE', K.callbacks(queue), '-inf', now, 'LIMIT', 0, limit - #out)) do
      local well, taken = L.guarded('callback', entry, take, queue, entry)
      if not well then call('ZREM', K.callbacks(queue), entry) end
      out[#out + 1] = taken
    end
  end
  return out
end
