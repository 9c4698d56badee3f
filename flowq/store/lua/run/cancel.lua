-- run/cancel: cancels every job of a run that has not ended, in bounded steps
-- edges: -
-- args: run nonce handlers
-- guard: the run has not ended; the same nonce again is a duplicate; without `handlers` there is a conflict while its handlers have their turn
-- replies: {done | duplicate | conflict | wrong_state | not_found}
-- uses: job/release_dependents lib/run_turns
-- memory: also when none is left
-- From the flag on no job of the run is queued: a job that becomes ready is canceled instead. Its handlers still have their
-- turn; a cancel with `handlers` that comes while they have it cancels them too. A run that waits for its turn leaves its place.
function T.cancel()
  local outcome = L.cancel_run(A.text(), A.text(), A.text() == '1')
  L.drain(100)
  return { outcome }
end
