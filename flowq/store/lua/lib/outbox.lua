-- lib/outbox: follow-up work of a transition, in bounded steps that no crash can lose
-- uses: lib/status lib/stats
-- Work that one transition makes is taken from a list in memory first; what the budget does not cover goes to the outbox with its
-- cursor, and any worker's sweep continues there. A run counts its entries and cannot end before they are gone. A step is a function
-- of L.step: (id, cursor, budget, job) -> what was dealt with, the next cursor (nil: through). `job` is known where this script has it in memory.
L.step = L.step or {}

local todo = {} -- per call
local todo_at = 1 -- per call
local may_have_ended = {} -- per call

-- `run` is the run that cannot end before this is done; nil for what belongs to no run. `job` is the job of this id, as this script left it.
function L.push(kind, id, cursor, run, job)
  todo[#todo + 1] = { kind = kind, id = id, cursor = cursor, run = run, job = job }
end

function L.later(kind, run)
  L.push(kind, run, 0, run)
end

-- The entries of a kind that are still to be dealt with, in memory and in the outbox.
function L.waiting_entries(kind)
  local found = {}
  for i = todo_at, #todo do
    if todo[i].kind == kind then found[#found + 1] = todo[i] end
  end
  for _, text in ipairs(call('LRANGE', K.outbox(), 0, -1)) do
    local id, cursor = string.match(text, '^' .. kind .. '|(.*)|(%d+)$')
    if id then found[#found + 1] = { id = id, cursor = cursor } end
  end
  return found
end

-- Look at the end of this script whether nothing of the run is open any more.
function L.may_have_ended(run)
  may_have_ended[run] = true
end

local function run_of(kind, id)
  if kind == 'edges' then return call('HGET', K.job(id), 'run') end
  if kind == 'admit' or kind == 'attach' or kind == 'let_go' or kind == 'revive' then return nil end
  if kind == 'cells' or kind == 'halt_cells' then return (L.run_and_ordinal(id)) end
  if kind == 'drop' then return string.match(id, '^(.*)-') end
  return id
end

local function persist(entry)
  call('RPUSH', K.outbox(), entry.kind .. '|' .. entry.id .. '|' .. entry.cursor)
  if entry.run then L.add(entry.run, 'outbox', 1) end
end

-- A step that fails is set aside.
local function step(kind, id, cursor, budget, job)
  L.ask()
  local well, did, next_cursor = pcall(L.step[kind], id, cursor, budget, job)
  if well then return did, next_cursor end
  L.fault('outbox', kind .. '|' .. id, did)
  return 1, nil
end

local function drain_memory(budget)
  if #todo == 0 then return budget end
  while todo_at <= #todo and budget > 0 do
    local entry = todo[todo_at]
    local did, cursor = step(entry.kind, entry.id, entry.cursor, budget, entry.job)
    budget = budget - math.max(did, 1)
    if cursor then entry.cursor = cursor else todo_at = todo_at + 1 end
  end
  for i = todo_at, #todo do persist(todo[i]) end
  todo, todo_at = {}, 1
  return budget
end

-- Do the work that this script made now: the same call can then claim a job that became ready.
L.spread = drain_memory

local function drain_outbox(budget)
  local text = call('LINDEX', K.outbox(), 0)
  local kind, id, cursor = string.match(text, '^([%w_]+)|(.*)|(%d+)$')
  if not kind or not L.step[kind] then
    L.set_aside('outbox', text, 'no entry of an outbox')
    call('LPOP', K.outbox())
    return budget - 1
  end
  local did, next_cursor = step(kind, id, tonumber(cursor), budget)
  if next_cursor then
    call('LSET', K.outbox(), 0, kind .. '|' .. id .. '|' .. next_cursor)
  else
    call('LPOP', K.outbox())
    local run = run_of(kind, id)
    if run then L.add(run, 'outbox', -1) end
  end
  return budget - math.max(did, 1)
end

-- Write the counters; runs of which nothing is open and nothing is left in the outbox go on to their handlers or their end.
-- Returns whether that made more work.
local function settle()
  L.write_sums(L.may_have_ended)
  if not next(may_have_ended) then return #todo > 0 end
  local runs = may_have_ended
  may_have_ended = {}
  for run in pairs(runs) do L.guarded('run', run, L.advance, run) end
  return #todo > 0
end

-- Deal with up to `budget` edges and jobs: first what this script made, then the outbox. Every script that may end a job calls
-- this last. Returns what was dealt with, and 1 when the outbox holds more.
function L.drain(budget)
  local left, waiting = budget, 0
  repeat
    left = drain_memory(left)
    waiting = call('LLEN', K.outbox())
    while waiting > 0 and left > 0 do
      left = drain_memory(drain_outbox(left))
      waiting = call('LLEN', K.outbox())
    end
  until not settle()
  L.write_counts()
  return budget - left, waiting > 0 and 1 or 0
end
