-- bundle/keep: keeps a bundle for the run that is about to be submitted with it
-- edges: -
-- args: hash
-- guard: it is there
-- replies: {done | not_found}
-- A bundle that no run has is kept for an hour: runs are submitted with the one that the run before had.
local UNUSED = 3600000

function T.keep()
  local key = K.bundle(A.text())
  local left = call('PTTL', key)
  if left == -2 then return { 'not_found' } end
  if left >= 0 then call('PEXPIRE', key, UNUSED) end
  return { 'done' }
end
