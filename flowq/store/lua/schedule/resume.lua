-- schedule/resume: ends the pause of a schedule
-- edges: -
-- args: schedule catch_up
-- guard: the schedule is paused, not only by its file
-- replies: {done | wrong_state | not_found}
-- uses: lib/slot_claims
-- What was missed is not made up, unless `catch_up`: then the schedule's own policy decides.
function T.resume()
  local id, catch_up = A.text(), A.text() == '1'
  if not call('ZSCORE', K.schedules(), id) then return { 'not_found' } end
  if not call('HGET', K.schedule(id), 'paused') then return { 'wrong_state' } end
  L.resume_schedule(id, not catch_up and now or nil)
  L.call_schedulers()
  return { 'done' }
end
