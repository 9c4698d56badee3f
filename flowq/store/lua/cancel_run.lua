-- cancel_run: everything of a run that has not ended is canceled, in bounded steps
-- edges: -
-- args: run
-- guard: the run is running
-- replies: {done | duplicate | wrong_state | not_found}
-- uses: release
-- From the flag on nothing of the run is queued any more: who becomes ready is canceled instead.
function T.cancel_run()
  local run = A.text()
  local found = call('HMGET', K.run(run), 'status', 'cancel')
  if not found[1] or found[1] == 'staging' or found[1] == 'collecting' then return { 'not_found' } end
  if found[1] ~= 'running' and found[1] ~= 'queued' then return { 'wrong_state' } end
  if found[2] == '1' then return { 'duplicate' } end
  call('HSET', K.run(run), 'cancel', '1')
  L.event(run, '', 'running', 'running', 'canceling', 0, 0)
  L.later('cancel', run)
  L.drain(100)
  return { 'done' }
end
