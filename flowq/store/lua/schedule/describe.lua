-- schedule/describe: keeps what a scheduler says about its schedules, for users
-- edges: -
-- args: (schedule text)…*
-- guard: a scheduler has had the schedule within a month
-- replies: {done}
-- uses: -
-- The texts are JSON that the store does not read.
function T.describe()
  local pairs_of = A.list()
  for i = 1, #pairs_of, 2 do
    if call('ZSCORE', K.schedules(), pairs_of[i]) then call('HSET', K.schedule(pairs_of[i]), 'entry', pairs_of[i + 1]) end
  end
  return { 'done' }
end
