-- job/create_many: creates several plain jobs
-- edges: -
-- args: jobs, their ids* (empty: not all of them differ), and for each of them those of create
-- guard: that of create, for each job
-- replies: {both parts of the reply of create, for each job}
-- uses: job/create
-- A composite: each job is created as if by itself, in order, so one may depend on an earlier one. Where no job has one of the ids, as is usual,
-- the new ones are put into their queues at once. All rights are asked for at its start: a later job may need more than the first one.
local ASKED = 1000 -- keys in one command

local function all_free(ids)
  for i = 1, #ids, ASKED do
    local keys = {}
    for j = i, math.min(i + ASKED - 1, #ids) do keys[j - i + 1] = K.job(ids[j]) end
    if call('EXISTS', unpack(keys)) > 0 then return false end
  end
  return #ids > 0
end

function T.create_many()
  local count, ids = A.number(), A.list()
  local free = all_free(ids)
  local function create_all()
    local replies = {}
    for i = 1, 2 * count, 2 do
      local reply = L.create(free)
      replies[i], replies[i + 1] = reply[1], reply[2]
    end
    return replies
  end
  local replies = free and L.gather(count, create_all) or create_all()
  L.drain(100)
  return replies
end
