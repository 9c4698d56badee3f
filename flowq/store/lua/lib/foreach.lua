-- lib/foreach: the cells of a foreach: made when its list is known, dropped when a retry evaluates the list again
-- uses: lib/outbox lib/artifacts
-- Before its list is known a foreach is one job (kind `foreach`); then it is a group, and its cells get the next ordinals of the
-- run, in bounded steps. Fields `cell:…` of the group are the first fields of each cell, `members` is "<first ordinal> <count>".
local COST = 2 -- of making a cell and queueing it, in edges

local function make_cell(group, ordinal, index)
  local id = L.member(group.run, ordinal)
  local fields = { 'status', 'deferred', 'run', group.run, 'pending', 0, 'has_dependents', 1, 'index', index }
  for name, value in pairs(group) do
    if string.sub(name, 1, 5) == 'cell:' then fields[#fields + 1], fields[#fields + 2] = string.sub(name, 6), value end
  end
  call('HSET', K.job(id), unpack(fields))
  call('RPUSH', K.children(id), group.id .. '|done')
  L.add(group.run, 'jobs:deferred', 1)
  L.add(group.run, 'total', 1)
  L.add(group.run, 'open', 1)
  L.ready(L.load(id))
end

function L.step.cells(id, cursor, budget)
  local group = L.load(id)
  local first, count = string.match(group.members, '^(%d+) (%d+)$')
  local some = math.max(1, math.floor(budget / COST))
  local last = math.min(tonumber(count), cursor + some) - 1
  for index = cursor, last do make_cell(group, first + index, index) end
  local did = (last + 1 - cursor) * COST
  if last + 1 >= tonumber(count) then return did, nil end
  return did, last + 1
end

-- Turn a group back into one job and drop its cells. Called while it is armed for a retry. A group without cells is a job already.
function L.shrink(group)
  local first, count = string.match(group.members, '^(%d+) (%d+)$')
  if group.kind == 'foreach' then
    group.members, group.expanded = nil, nil
    return call('HDEL', K.job(group.id), 'members', 'expanded', 'items', 'item_chunks')
  end
  call('HDEL', K.job(group.id), 'members', 'expanded', 'halt', 'cells:finished', 'cells:failed', 'cells:skipped', 'cells:canceled')
  call('HSET', K.job(group.id), 'kind', 'foreach')
  call('DEL', K.items(group.id))
  group.kind, group.members, group.expanded, group.status = 'foreach', nil, nil, '-'
  L.add(group.run, 'total', 1)
  if tonumber(count) > 0 then L.push('drop', group.run .. '-' .. first .. ':' .. count, 0, group.run) end
end

function L.step.drop(id, cursor, budget)
  local run, first, count = string.match(id, '^(.*)-(%d+):(%d+)$')
  local last = math.min(tonumber(count), cursor + budget) - 1
  for i = cursor, last do
    local job = L.load(L.member(run, first + i))
    if job then
      if L.is_warning(job) then L.add(run, 'warnings', -1) end
      if job.reason == 'cached' then L.add(run, 'cached', -1) end
      L.add(run, 'jobs:' .. job.status, -1)
      L.add(run, 'total', -1)
      L.forget(job)
      if job.artifacts then L.drop_artifacts(job.id) end
      call('DEL', unpack(L.keys_of(job.id)))
    end
  end
  if last + 1 >= tonumber(count) then return last + 1 - cursor, nil end
  return budget, last + 1
end
