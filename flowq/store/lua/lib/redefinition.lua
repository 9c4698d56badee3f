-- lib/redefinition: gives jobs of a run that is retried the definition of another plan: the present text of its flow
-- uses: lib/status
-- A definition is JSON, [[field, value, ...], ["<ordinal of a child>|<condition>", ...] or null], all texts. It has the fields that submission
-- writes. A group keeps its kind and its cells: they are the same in both plans.
local DEFINED = {
  'queue', 'priority', 'front', 'ttl', 'delay', 'retry', 'retry_lost', 'semaphores', 'base_semaphores', 'needs_evaluation', 'approval_timeout',
  'fail_fast', 'group_fail_fast', 'allow_failure', 'keep', 'keep_failed', 'cell_of',
}

-- The plan that was staged with the retry becomes the run's, with the fields of the run that belong to it.
function L.take_plan(run, fields)
  call('RENAME', K.draft(run), K.plan(run))
  call('HDEL', K.run(run), 'signature', 'timeout', 'sources', 'expiry_times', 'notify', 'queues')
  call('HSET', K.run(run), unpack(fields))
end

function L.redefine_edges(job, children)
  if type(children) ~= 'table' then return end
  call('DEL', K.children(job.id))
  for i = 1, #children, 1000 do
    local some = {}
    for j = i, math.min(i + 999, #children) do some[#some + 1] = L.member(job.run, children[j]) end
    call('RPUSH', K.children(job.id), unpack(some))
  end
  if #children > 0 then
    call('HSET', K.job(job.id), 'has_dependents', '1')
  else
    call('HDEL', K.job(job.id), 'has_dependents')
  end
end

-- Redefine a job that has just been deferred.
function L.redefine(job, fields, children)
  local is_group = job.kind == 'group' or job.kind == 'foreach'
  local gone = { unpack(DEFINED) }
  if not is_group then gone[#gone + 1] = 'kind' end
  for name in pairs(job) do
    if string.sub(name, 1, 5) == 'cell:' and name ~= 'cell:fresh' and name ~= 'cell:plan' and name ~= 'cell:rank' then gone[#gone + 1] = name end
  end
  call('HDEL', K.job(job.id), unpack(gone))
  local queue = job.queue
  for i = 1, #fields, 2 do
    if not (is_group and fields[i] == 'kind') then call('HSET', K.job(job.id), fields[i], fields[i + 1]) end
    if fields[i] == 'queue' then queue = fields[i + 1] end
  end
  if queue ~= job.queue and job.kind ~= 'group' then
    call('ZREM', K.registry('deferred', job.queue), job.id)
    call('ZADD', K.registry('deferred', queue), now, job.id)
  end
  L.redefine_edges(job, children)
end
