-- lib/dependency_cycle: whether new dependencies of a plain job would make jobs wait for each other.
-- uses: lib/status lib/conditions
-- loaded: on first use
-- Only an id that others depend on already can close a cycle: a draft, or a job that is created again with its id.
local VISITED = 10000 -- jobs looked at by one call, about 20 ms

-- The first edge of a job that has not ended which none of its earlier ends decides: from here on dependents wait for its next end.
local function first_waiting_edge(job)
  local first = tonumber(job.settled or 0)
  for upto in string.gmatch(job.earlier_ends or '', '|(%d+);') do first = math.max(first, tonumber(upto)) end
  return first
end

-- The jobs that wait for the next end of `job`.
local function waiting_for(job)
  local found = {}
  if L.ended(job.status) then return found end
  for _, edge in ipairs(call('LRANGE', K.children(job.id), first_waiting_edge(job), -1)) do
    local id, mark = string.match(edge, '^([^|]*)|([^|]*)|')
    local child = id and L.load(id)
    if child and child.status == 'deferred' and L.mark(child) == mark then found[#found + 1] = child end
  end
  return found
end

local function cycle_through(id, parent, waits_for)
  local path, at = { id }, parent
  while at do
    path[#path + 1] = at
    at = at ~= id and waits_for[at]
  end
  return table.concat(path, ' -> ')
end

-- Return the cycle that dependencies on `parents` would close, as ids joined by ' -> '; nil if there is none, '' if too many jobs depend on
-- the id to say. `old` is the job that has the id now.
function L.dependency_cycle(old, parents)
  local is_parent, waits_for, open, visited = {}, {}, { old }, 0
  for _, parent in ipairs(parents) do is_parent[parent] = true end
  if is_parent[old.id] then return old.id .. ' -> ' .. old.id end
  while #open > 0 do
    local job = table.remove(open)
    for _, child in ipairs(waiting_for(job)) do
      if not waits_for[child.id] then
        waits_for[child.id] = job.id
        if is_parent[child.id] then return cycle_through(old.id, child.id, waits_for) end
        visited = visited + 1
        if visited == VISITED then return '' end
        open[#open + 1] = child
      end
    end
  end
  return nil
end
