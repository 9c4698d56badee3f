-- run/cancel: cancels every job of a run that has not ended, in bounded steps
-- edges: -
-- args: run nonce handlers
-- guard: the run has not ended; the same nonce again is a duplicate; without `handlers` there is a conflict while its handlers have their turn
-- replies: {done | duplicate | conflict | wrong_state | not_found}
-- uses: job/release_dependents
-- memory: also when none is left
-- From the flag on no job of the run is queued: a job that becomes ready is canceled instead. Its handlers still have their
-- turn; a cancel with `handlers` that comes while they have it cancels them too. A run that waits for its concurrency group leaves it.
local function leave_queue(run, sem, with, attempt)
  L.leave_group(run, sem)
  call('HSET', K.run(run), 'status', 'running', 'started_at', now)
  if with == 'arm' then -- a retry that has not begun: its jobs are as the last attempt left them
    call('DEL', K.staging(run), K.draft(run))
    call('HSET', K.run(run), 'phase', 'exit', 'outcome', 'canceled')
    L.may_have_ended(run)
  end
  L.event(run, '', 'queued', 'running', 'canceling', 0, attempt)
end

function L.cancel_run(run, nonce, handlers)
  local found = call('HMGET', K.run(run), 'status', 'cancel', 'phase', 'cancel_nonce', 'semaphore', 'next_walk', 'attempt')
  local status, mode = found[1], found[2]
  if not status or status == 'staging' or status == 'collecting' then return 'not_found' end
  if nonce and found[4] == nonce then return 'duplicate' end
  if status ~= 'running' and status ~= 'queued' then return 'wrong_state' end
  if mode == '2' or (mode == '1' and not found[3]) then return 'duplicate' end
  if found[3] and not handlers then return 'conflict' end
  L.set_halt(run, found[3] and '2' or '1')
  if nonce then call('HSET', K.run(run), 'cancel_nonce', nonce) end
  if status == 'queued' then
    leave_queue(run, found[5], found[6], found[7])
  else
    L.event(run, '', 'running', 'running', 'canceling', 0, 0)
  end
  L.later('cancel', run)
  return 'done'
end

function T.cancel()
  local outcome = L.cancel_run(A.text(), A.text(), A.text() == '1')
  L.drain(100)
  return { outcome }
end
