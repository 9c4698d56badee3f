-- access/note: adds an entry to the log of what users did
-- edges: -
-- args: (name value)…*
-- guard: -
-- replies: {done}
-- uses: -
local NOTED = 10000 -- entries

function T.note()
  call('XADD', K.audit(), 'MAXLEN', NOTED, '*', unpack(A.list()))
  return { 'done' }
end
