-- lib/regain: gives a job back to an execution that counted as lost, if no other execution has begun
-- uses: lib/status lib/job_end lib/semaphores lib/run_cancellation
-- Its worker could not reach the server for longer than a lease while others could, and continued: it cannot know that. When its
-- heartbeat or report arrives, the job need not be executed once more. A job that was requeued or whose run was retried meanwhile is at
-- attempt 0: it was asked for again, maybe with another definition, and what the execution before that reports does not count.
local WAITING = { queued = true, scheduled = true }

-- Returns whether the job is started again, as the execution with this token; its lease is `score`.
function L.regain(job, token, score)
  if not job or job.token ~= token or job.outcome ~= 'lost' or not WAITING[job.status] then return false end
  if tonumber(job.attempt) == 0 or L.halted(job) or job.cancel or (job.semaphores and not L.hold(job, true)) then return false end
  if job.on_failure and call('ZREM', K.callbacks(job.queue), L.execution_of(token) .. ':' .. job.nonce .. '|' .. job.id) == 1 then
    L.was_called(job)
  end
  L.had_turn(job)
  call('DEL', K.result(job.id))
  call('HDEL', K.job(job.id), 'outcome', 'ended_at')
  job.outcome, job.ended_at = nil, nil
  L.set_status(job, 'started', nil, score)
  return true
end
