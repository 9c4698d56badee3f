-- job/create_many: creates several plain jobs
-- edges: -
-- args: jobs, and for each of them those of create
-- guard: that of create, for each job
-- replies: {both parts of the reply of create, for each job}
-- uses: job/create
-- A composite: each job is created as if by itself, in order, so one may depend on an earlier one.
function T.create_many()
  local replies = {}
  for i = 1, 2 * A.number(), 2 do replies[i], replies[i + 1] = unpack(L.create()) end
  L.drain(100)
  return replies
end
