-- run/delete: deletes an ended run before its retention has passed, with its jobs, results and logs
-- edges: -
-- args: run limit
-- guard: the run has ended; a run that is already being deleted is deleted further
-- replies: {done | wrong_state | not_found, 1 when jobs are left}
-- uses: run/collect_garbage
-- memory: also when none is left
-- No reader finds it from the first step on. The client that deletes it collects the rest; if it dies, a timer does.
function T.delete()
  local run, limit = A.text(), A.number()
  local status = call('HGET', K.run(run), 'status')
  if not status or status == 'staging' then return { 'not_found', 0 } end
  if status == 'running' or status == 'queued' then return { 'wrong_state', 0 } end
  return { 'done', L.dismantle(run, limit) }
end
