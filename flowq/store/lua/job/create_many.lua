-- job/create_many: creates several plain jobs
-- edges: -
-- args: jobs, their ids* (empty: not all of them differ), what they share* (nonce, queue, fields), and for each of them its payload and the field `call`; where they share nothing, those of create
-- guard: that of create, for each job
-- replies: {both parts of the reply of create, for each job}, once if they are the same for all
-- uses: job/create
-- A composite: each job is created as if by itself, in order, so one may depend on an earlier one. Where no job has one of the ids, as is usual,
-- the new ones are put into their queues at once. All rights are asked for at its start: a later job may need more than the first one.
local ASKED = 1000 -- keys in one command
local NONE = {}

local function all_free(ids)
  for i = 1, #ids, ASKED do
    local keys = {}
    for j = i, math.min(i + ASKED - 1, #ids) do keys[j - i + 1] = K.job(ids[j]) end
    if call('EXISTS', unpack(keys)) > 0 then return false end
  end
  return #ids > 0
end

-- Returns a function that creates the job with an id, of what all of these share and of its next two arguments.
local function creator(shared, free)
  local nonce, queue, options = shared[1], shared[2], { unpack(shared, 3) }
  local at = #options + 1
  options[at] = 'call'
  return function(id)
    local payload, text = A.texts(2)
    options[at + 1] = text
    return L.create_of(free, NONE, options, nonce, id, '0', queue, payload, '', -1, '0', '', 0)
  end
end

function T.create_many()
  local count, ids, shared = A.number(), A.list(), A.list()
  local free = all_free(ids)
  local create = shared[1] and creator(shared, free) or function() return L.create(free) end
  local function create_all()
    local replies, first, others = {}, nil, false
    for i = 1, count do
      local reply = create(ids[i])
      replies[2 * i - 1], replies[2 * i] = reply[1], reply[2]
      first = first or reply
      others = others or reply[1] ~= first[1] or reply[2] ~= first[2]
    end
    if not others then return first end
    return replies
  end
  local replies = free and L.gather(count, create_all) or create_all()
  L.drain(100)
  return replies
end
