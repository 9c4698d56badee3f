-- rate_limit/release_slot: frees the place of a deleted job under a rate limit when its process has ended
-- edges: -
-- args: id token semaphore
-- guard: the place is still kept
-- replies: {done | duplicate}
-- uses: job/release_dependents
-- memory: also when none is left
function T.release_slot()
  local place, name = L.place_of(A.text(), A.text()), A.text()
  if not L.vacate(name, place) then return { 'duplicate' } end
  L.drain(100)
  return { 'done' }
end
