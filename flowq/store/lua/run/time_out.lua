-- run/time_out: ends the graph of a run that has exceeded the run's timeout
-- edges: -
-- args: run
-- guard: the graph has not ended, and its time is over
-- replies: {done | wrong_state}
-- uses: job/release_dependents lib/group_places
-- Running and ready jobs end `failed` with reason `run_timeout`, the rest follows by its edges. Handlers have their turn.
function L.time_out_run(run)
  local found = call('HMGET', K.run(run), 'status', 'phase', 'started_at', 'timeout', 'cancel', 'semaphore')
  if found[1] ~= 'running' or found[2] or not found[4] or tonumber(found[3]) + tonumber(found[4]) > now then return 'wrong_state' end
  if found[5] == '1' or found[5] == 'run_timeout' or found[5] == 'lost' then return 'wrong_state' end
  L.set_halt(run, 'run_timeout')
  L.later('cancel', run)
  if found[6] then L.check_place(run) end
  return 'done'
end

function T.time_out()
  local outcome = L.time_out_run(A.text())
  L.drain(100)
  return { outcome }
end
