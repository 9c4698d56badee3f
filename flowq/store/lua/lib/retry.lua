-- lib/retry: whether and when a job is executed again.
-- uses: lib/status
-- `retry_lost` is 0 when a filter leaves lost executions out. The field `retry` is "<max>|<ms>,<ms>,…|<jitter in %>|<front 0 or 1>"; the last wait repeats.

-- The number-th of a list of waits; the last one repeats.
function L.nth_wait(waits, number)
  local chosen, index = 0, 0
  for text in string.gmatch(waits, '%d+') do
    index = index + 1
    chosen = tonumber(text)
    if index == number then break end
  end
  return chosen
end

local function wait_before(job, retry_number)
  local waits, jitter = string.match(job.retry, '^%d+|([%d,]*)|(%d+)')
  local chosen = L.nth_wait(waits, retry_number)
  jitter = tonumber(jitter)
  if jitter > 0 and chosen > 0 then
    -- Scripts must not use a random source that differs by run; a hash of the execution spreads as well.
    local unit = tonumber(string.sub(redis.sha1hex(job.id .. job.token), 1, 8), 16) / 4294967295
    chosen = math.floor(chosen * (1 + (unit * 2 - 1) * jitter / 100))
  end
  return chosen
end

-- Put a started job back when retries are left. Returns whether it did. `lost`: its worker was lost, it goes to the head.
function L.retry(job, lost)
  local max = job.retry and tonumber(string.match(job.retry, '^%d+')) or 0
  local attempt = (tonumber(job.attempt) or 1) - (tonumber(job.returns) or 0) -- a returned Retry is counted apart
  if attempt > max or (lost and job.retry_lost == '0') then return false end
  local wait = wait_before(job, attempt)
  if wait > 0 then
    L.schedule(job, wait, 'retry', { 'ended_at', now })
  else
    call('HSET', K.job(job.id), 'ended_at', now)
    L.enqueue(job, 'retry', lost or string.match(job.retry, '|1$') ~= nil)
  end
  return true
end
