-- lib/webhooks: deliveries to make when a plain job ends; workers send them, outside of any script
-- uses: lib/status
-- A job's field `webhooks` has one line "<status> <timeout, ms> <JSON>" for each; `func` is the name of its function. The end of the job
-- puts a delivery with all it needs on the list, in the same step: it does not depend on the job's record any more, and it is there
-- until some worker has delivered it or given it up. `webhooks` (zset) has the time at which each is due, or at which its claim expires.
local LONGEST_ERROR = 65536 -- bytes

L.posted = false -- per call

-- A delivery is there: a worker takes it when it is due.
function L.deliver(id, due)
  call('ZADD', K.webhooks(), due, id)
  L.posted = true
end

function L.post(job, status)
  for wanted, timeout, spec in string.gmatch(job.webhooks, '(%l+) (%d+) ([^\n]+)') do
    if wanted == status then
      local execution = L.execution_of(job.token)
      local id = job.id .. '|' .. execution .. '|' .. call('HINCRBY', KEYS[1], 'webhooks', 1)
      local fields = {
        'spec', spec, 'timeout', timeout, 'job', job.id, 'func', job.func or '', 'status', status, 'execution', execution,
        'enqueued_at', job.enqueued_at or '', 'ended_at', now, 'tries', 0,
      }
      if status == 'failed' then
        fields[#fields + 1] = 'error'
        fields[#fields + 1] = string.sub(call('GET', K.result(job.id)) or job.reason or '', -LONGEST_ERROR)
      end
      call('HSET', K.webhook(id), unpack(fields))
      L.deliver(id, now)
    end
  end
  if L.posted then L.wake('@decide') end
end
