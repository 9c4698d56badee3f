-- job/create: creates a plain job
-- edges: - -> queued, - -> deferred, - -> scheduled, - -> skipped, - -> rate_limited
-- args: nonce id unique queue payload meta due front group coming parents* fields*
-- guard: the same nonce again is a duplicate; with `unique`, or while the job is started, a taken id is a conflict; every parent exists and none waits for this job
-- replies: {done | duplicate | conflict, status}, {not_found, parent id} or {cycle, ids of the cycle joined by ' -> '} ('': too many jobs depend on the id to say)
-- uses: job/release_dependents lib/dependency_cycle
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

function L.write(id, fields, payload, meta)
  if call('EXISTS', K.children(id)) == 1 then call('HSET', K.job(id), 'has_dependents', '1') end
  call('HSET', K.job(id), unpack(fields))
  call('SET', K.payload(id), payload)
  if meta ~= '' then call('SET', K.meta_data(id), meta) end
end

-- The new job as `L.load` would read it.
local function record(id, fields)
  local job = { id = id }
  for i = 1, #fields, 2 do job[fields[i]] = fields[i + 1] end
  return job
end

function L.create()
  local nonce, id, unique, queue, payload, meta = A.text(), A.text(), A.text(), A.text(), A.text(), A.text()
  local due, front, group, coming, parents, fields = A.number(), A.text(), A.text(), A.number(), A.list(), A.list()
  local old = L.load(id)
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
  local first = { 'status', 'deferred', 'queue', queue, 'nonce', nonce, 'created_at', now, 'pending', #parents > 0 and #parents + 1 or 0, unpack(fields) }
  L.write(id, first, payload, meta)
  if group ~= '' then
    call('HSET', K.job(id), 'group_id', group)
    L.group_coming(group, coming)
  end
  local job = old and L.load(id) or record(id, first)
  job.status, job.group_id = '-', group ~= '' and group or nil
  if due >= 0 then job.not_before = due call('HSET', K.job(id), 'not_before', due) end
  if front == '1' then job.front = '1' call('HSET', K.job(id), 'front', '1') end
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
  if job.status ~= 'queued' then call('SADD', K.queues(), queue) end -- the queue of a queued job is known
  return { 'done', job.status }
end

function T.create()
  local reply = L.create()
  L.drain(100)
  return reply
end
