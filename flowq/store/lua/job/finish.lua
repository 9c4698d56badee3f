-- job/finish: records the reported end of one execution
-- edges: started -> finished, started -> failed, started -> stopped, started -> canceled, started -> scheduled, started -> queued, started -> deferred, started -> rate_limited, queued -> started (the execution was taken for lost), scheduled -> started (likewise)
-- args: id token outcome reason has_value value allowed retryable delay max_returns exit_code front result_ttl unlisted cache* artifacts*
-- guard: the token is the job's current one; an execution that reported before gets duplicate, one that lost the job to another one gets fenced
-- replies: {done | duplicate | fenced | not_found}
-- uses: job/release_dependents lib/execution_history lib/retry lib/cache lib/regain lib/artifacts
-- rights: hset zadd xadd zrem pexpire set del
-- outcome `retry` is a job that returned Retry: `delay` ms (-1: at once), at most `max_returns` times, apart from the retries for failures.
-- A failure that is not the last attempt, and a returned Retry, leave a result too (outcome `retried`, of a Retry that is not granted
-- any more `exceeded`). A success of a job with repetitions left (field `repeat`, "<times>|<ms>,…") leaves one and schedules the job again.
-- `result_ttl` is the worker's default (ms, '' for none) for a job that has none of its own.
-- `unlisted`: a failure is not listed in the registry of failed jobs.
-- `cache` (of a job with `cache`): the reason shown to users, and the result to keep or to reuse (see lib/cache). If the result to reuse
-- has expired meanwhile, the job goes back to its queue uncharged and is decided again.
-- `artifacts` are the files that the job has left, see lib/artifacts.
local function again(job, delay, max_returns, front)
  local returns = tonumber(job.returns or 0)
  if returns >= max_returns then return false end
  call('HINCRBY', K.job(job.id), 'returns', 1)
  if delay > 0 then
    L.schedule(job, delay, 'retry', { 'ended_at', now })
  else
    call('HSET', K.job(job.id), 'ended_at', now)
    L.enqueue(job, 'retry', front)
  end
  return true
end

local function go_round(job)
  local times, waits = string.match(job['repeat'], '^(%d+)|([%d,]*)$')
  local number = tonumber(job.repeated or 0) + 1
  if number > tonumber(times) or job.cancel then return false end
  job.attempt = 0
  call('HSET', K.job(job.id), 'repeated', number, 'attempt', 0, 'ended_at', now)
  call('HDEL', K.job(job.id), 'returns')
  local wait = L.nth_wait(waits, number)
  if wait > 0 then L.schedule(job, wait, 'repeat') else L.enqueue(job, 'repeat') end
  return true
end

-- The claim has put the results of earlier executions away, so there is nothing to delete where this one has none.
local function record(job, outcome, has_value, value, exit_code)
  if has_value then call('SET', K.result(job.id), value) end
  local extra = { 'outcome', outcome }
  if exit_code ~= '' then extra[3], extra[4] = 'exit_code', exit_code end
  if job.cache then extra[#extra + 1], extra[#extra + 2] = 'cache', job.cache end
  return extra
end

-- A worker has not executed the job: nothing is charged.
function L.hand_back(job)
  call('HSET', K.job(job.id), 'outcome', 'unclaimed', 'attempt', tonumber(job.attempt) - 1)
  job.outcome, job.attempt = 'unclaimed', tonumber(job.attempt) - 1
  if job.cancel == '1' then L.end_job(job, L.killed(job)) else L.enqueue(job, nil, true) end
  return 'done'
end

-- The same call as before, which handed the job back.
function L.handed_back(job, token)
  return job and job.token == token and job.outcome == 'unclaimed'
end

function L.finish()
  local id, token, outcome, reason, valued, value, allowed, retryable, delay, max_returns, exit_code, front, result_ttl, unlisted = A.texts(14)
  local has_value = valued == '1'
  allowed, retryable, front, unlisted = allowed == '1', retryable == '1', front == '1', unlisted == '1'
  delay, max_returns = tonumber(delay), tonumber(max_returns)
  local cache, artifacts = L.cache_report(A.list()), A.list()
  local job, flat = L.load_flat(id)
  L.ask_for(L.TO_END, job and outcome == 'finished' and not cache.info and #artifacts == 0, flat, true)
  if job and job.outcome == 'lost' then L.regain(job, token, now) end
  local standing = L.standing(job, token)
  if standing == 'fenced' and L.cache_hit(cache) and L.handed_back(job, token) then return 'duplicate' end
  if standing then return standing end
  if job.cancel == '1' and outcome ~= 'finished' then
    outcome, reason = L.killed(job)
    retryable, allowed = false, false
  end
  if outcome == 'finished' and L.cache_hit(cache) then
    value, has_value, reason = L.cache_take(cache), true, 'cached'
    if not value then return L.hand_back(job) end
  end
  job.cache = cache.info
  if #artifacts > 0 and outcome ~= 'canceled' and outcome ~= 'stopped' then L.keep_artifacts(job, artifacts) end
  if outcome == 'retry' and again(job, delay, max_returns, front) then
    call('HSET', K.job(id), unpack(record(job, 'retried', has_value, value, exit_code)))
    L.arrived(job)
  elseif outcome == 'failed' and retryable and L.retry(job, false) then
    call('HSET', K.job(id), unpack(record(job, 'retried', has_value, value, exit_code)))
    L.arrived(job)
  elseif outcome == 'finished' and job['repeat'] and go_round(job) then
    call('HSET', K.job(id), unpack(record(job, 'finished', has_value, value, exit_code)))
    if job.webhooks then L.post(job, 'finished') end
    L.arrived(job)
  else
    local later = has_value and not job.webhooks -- which tell it
    local extra = record(job, outcome == 'retry' and 'exceeded' or outcome, has_value and not later, value, exit_code)
    if later then job.unwritten = value end
    if outcome == 'retry' then outcome, reason = 'failed', 'error' end
    if result_ttl ~= '' and not job.result_ttl then
      job.result_ttl, extra[#extra + 1], extra[#extra + 2] = result_ttl, 'result_ttl', result_ttl
    end
    if outcome == 'failed' and allowed then extra[#extra + 1], extra[#extra + 2] = 'allowed', '1' end
    if outcome == 'failed' and allowed then job.allowed = '1' end
    if outcome == 'failed' and unlisted then extra[#extra + 1], extra[#extra + 2] = 'unlisted', '1' end
    if outcome == 'finished' and cache.record ~= '' then L.cache_keep(cache, value) end
    L.end_job(job, outcome, reason, extra)
  end
  return 'done'
end

function T.finish()
  local outcome = L.finish()
  L.drain(100)
  return { outcome }
end
