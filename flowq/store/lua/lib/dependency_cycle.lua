-- lib/dependency_cycle: whether new dependencies of a plain job would make jobs wait for each other.
-- uses: lib/status lib/conditions lib/outbox
-- Only an id that others depend on already can close a cycle: one that a draft names or has, or that of a job that is created again.
local VISITED = 10000 -- jobs looked at by one call, about 20 ms
local UNATTACHED = 50000 -- edges looked at by one call, about 20 ms

-- The first edge of a job that has not ended which none of its earlier ends decides: from here on dependents wait for its next end.
local function first_waiting_edge(job)
  local first = tonumber(job.settled or 0)
  for upto in string.gmatch(job.earlier_ends or '', '|(%d+);') do first = math.max(first, tonumber(upto)) end
  return first
end

-- The edges that are still to be attached, which no list of children has: parent -> children. Nil if they are too many.
local function unattached_edges()
  local found, count = {}, 0
  for _, entry in ipairs(L.waiting_entries('attach')) do
    local id, nonce = string.match(entry.id, '^(.*)|([^|]*)$')
    local child = L.load(id)
    if child and child.nonce == nonce and child.status == 'deferred' then
      local from = tonumber(entry.cursor)
      count = count + call('LLEN', K.parents(id)) - from
      if count > UNATTACHED then return nil end
      for _, edge in ipairs(call('LRANGE', K.parents(id), from, -1)) do
        local parent = string.match(edge, '^(.*)|')
        found[parent] = found[parent] or {}
        table.insert(found[parent], child)
      end
    end
  end
  return found
end

-- The jobs that wait for the next end of `job`, and the drafts that would.
local function waiting_for(job, unattached)
  local found = {}
  for _, id in ipairs(call('SMEMBERS', K.drafted(job.id))) do found[#found + 1] = L.load(id) end
  if L.ended(job.status) then return found end
  for _, child in ipairs(unattached[job.id] or {}) do found[#found + 1] = child end
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

-- Return the cycle that dependencies of the job `id` on `parents` would close, as ids joined by ' -> '; nil if there is none, '' if too many
-- jobs depend on the id to say. `old` is the job that has the id now, nil if there is none.
function L.dependency_cycle(id, old, parents)
  local is_parent = {}
  for _, parent in ipairs(parents) do is_parent[parent] = true end
  if is_parent[id] then return id .. ' -> ' .. id end
  local unattached = unattached_edges()
  if not unattached then return '' end
  local waits_for, open, visited = {}, { old or { id = id, status = 'created' } }, 0
  while #open > 0 do
    local job = table.remove(open)
    for _, child in ipairs(waiting_for(job, unattached)) do
      if not waits_for[child.id] and child.id ~= id then
        waits_for[child.id] = job.id
        if is_parent[child.id] then return cycle_through(id, child.id, waits_for) end
        visited = visited + 1
        if visited == VISITED then return '' end
        open[#open + 1] = child
      end
    end
  end
  return nil
end
