-- job/create: creates a plain job
-- edges: - -> queued, - -> deferred, - -> scheduled, - -> skipped, - -> rate_limited
-- args: nonce id unique queue payload meta due front group coming parents* fields*
-- guard: the same nonce again is a duplicate; with `unique`, or while the job is started, a taken id is a conflict; every parent exists and none waits for this job
-- replies: {done | duplicate | conflict, status}, {not_found, parent id} or {cycle, ids of the cycle joined by ' -> '} ('': too many jobs depend on the id to say)
-- uses: job/release_dependents lib/dependency_cycle
-- rights: set hincrby hset sadd zadd llen rpush xadd
-- `due` is a time in ms or -1: a job with a time is scheduled, also if that has passed: the next sweep queues it. `meta` the user's own data ('' for none). `parents` are "<id>|<condition>"; `fields` are written to the job as they are.
-- `group` is the group it joins ('' for none), `coming` how many jobs of the same request follow (the first of them) or -1 (each other).
local ATTACHED = 100 -- parents that a job is attached to by the call itself; the others follow in bounded steps

-- A job that is replaced (same id, not unique) leaves its structures first, so that the id is never in two places.
-- Its dependents continue to wait for the id, and hold it. Returns the edges to the parents that the old one held.
local INHERITED = { 'open_dependents', 'settled', 'earlier_ends' }

function L.replace(old)
  local parents = L.ended(old.status) and {} or L.held_parents(old)
  if L.ended(old.status) then L.remember_end(old, false) end
  L.forget(old)
  local children = K.children(old.id)
  for _, key in ipairs(L.keys_of(old.id)) do
    if key ~= children then call('DEL', key) end
  end
  call('PERSIST', children)
  for _, name in ipairs(INHERITED) do
    if old[name] then call('HSET', K.job(old.id), name, old[name]) end
  end
  local decided = L.ended(old.status) and call('LLEN', children) or tonumber(old.settled or 0)
  if decided > 0 then call('HSET', K.job(old.id), 'inherited', decided) end
  -- The execution numbers of an id only grow: they identify logs and idempotent effects.
  if old.token then call('HSET', K.job(old.id), 'token', old.token, 'outcome', 'unclaimed') end
  return parents
end

function L.write_data(id, payload, meta)
  call('SET', K.payload(id), payload)
  if meta ~= '' then call('SET', K.meta_data(id), meta) end
end

-- Write the record of a new job. If it replaces another one, jobs may depend on its id.
function L.write(id, fields, old)
  if old and call('EXISTS', K.children(id)) == 1 then call('HSET', K.job(id), 'has_dependents', '1') end
  call('HSET', K.job(id), unpack(fields))
end

-- Make the job of its fields. The record of one that replaces no other and waits for none is written with its first status.
local function make(id, fields, old, waits)
  local job = L.record(id, fields)
  if old or waits then
    L.write(id, fields, old)
    if old then job = L.load(id) end
  else
    job.unstored = fields
  end
  job.status = '-'
  return job
end

-- Create a job of these arguments. `free`: it is known that no job has the id.
function L.create_of(free, parents, options, nonce, id, unique, queue, payload, meta, due, front, group, coming)
  local old = not free and L.load(id) or nil
  L.ask_for(L.TO_CREATE, not old and #parents == 0 and due < 0 and group == '', options)
  if old then
    if old.nonce == nonce then return { 'duplicate', old.status } end
    if unique == '1' or old.status == 'started' or old.run then
      if group ~= '' then L.group_without(group) end
      return { 'conflict', old.status }
    end
  end
  local parent_ids = {}
  for i, edge in ipairs(parents) do
    parent_ids[i] = string.match(edge, '^(.*)|')
    if call('EXISTS', K.job(parent_ids[i])) == 0 then
      if group ~= '' then L.group_without(group) end
      return { 'not_found', parent_ids[i] }
    end
  end
  local cycle = #parents > 0 and (old or call('EXISTS', K.drafted(id)) == 1) and L.dependency_cycle(id, old, parent_ids)
  if cycle then
    if group ~= '' then L.group_without(group) end
    return { 'cycle', cycle }
  end
  local former = old and L.replace(old) or {}
  local fields = { 'queue', queue, 'nonce', nonce, 'created_at', now, unpack(options) }
  if #parents > 0 then fields[#fields + 1], fields[#fields + 2] = 'pending', #parents + 1 end
  if due >= 0 then fields[#fields + 1], fields[#fields + 2] = 'not_before', due end
  if front == '1' then fields[#fields + 1], fields[#fields + 2] = 'front', '1' end
  if group ~= '' then
    fields[#fields + 1], fields[#fields + 2] = 'group_id', group
    L.group_coming(group, coming)
  end
  local job = make(id, fields, old, #parents > 0)
  L.write_data(id, payload, meta)
  local rest
  if #parents == 0 then
    if due >= 0 then L.schedule(job, due - now, 'delay') else L.ready(job) end
  else
    L.add_parents(id, parents)
    rest = L.attach(job, 0, ATTACHED)
  end
  L.let_parents_go(former)
  if rest then L.push('attach', id .. '|' .. nonce, rest) end
  if job.status == '-' then L.set_status(job, 'deferred', nil, now) end
  if job.status ~= 'queued' then L.list_queue(queue) end -- the queue of a queued job is known
  return { 'done', job.status }
end

function L.create(free)
  local nonce, id, unique, queue, payload, meta, due, front, group, coming = A.texts(10)
  local parents, options = A.list(), A.list()
  return L.create_of(
    free, parents, options, nonce, id, unique, queue, payload, meta, tonumber(due), front, group, tonumber(coming))
end

function T.create()
  local reply = L.create()
  L.drain(100)
  return reply
end
