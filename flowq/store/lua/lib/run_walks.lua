-- lib/run_walks: walks over the jobs of a run at its start or at the start of its retry
-- uses: lib/status lib/outbox lib/job_end lib/foreach lib/redefinition lib/artifacts

-- A run has become visible: queue its roots, list the others as deferred. Handlers are not part of the graph, they wait for its end.
local function start_one(id)
  local job = L.load(id)
  if not job or job.status ~= 'deferred' then return end
  if job.phase then
    L.stay(job)
  elseif job.verdict then
    L.end_job(job, 'skipped', job.verdict)
  elseif tonumber(job.pending) == 0 then
    L.ready(job)
  else
    L.stay(job)
  end
end

function L.step.start(run, cursor, budget)
  local cells = tonumber(call('HGET', K.run(run), 'staged'))
  local last = math.min(cells, cursor + budget) - 1
  for ordinal = cursor, last do start_one(L.member(run, ordinal)) end
  if last + 1 < cells then return budget, last + 1 end
  L.may_have_ended(run)
  return last + 1 - cursor, nil
end

-- A retry has been flipped: first every job of it is deferred again with its edges re-armed, then the roots start. Two walks,
-- because a root that ends between them must find its children armed.
-- An entry is "<ordinal> <undecided edges> <skip reason or -> <finished> <failed> <skipped> <canceled> <again> <fresh>"; the four are what
-- a group has counted of cells that stay as they are; `again` is 1 for a foreach whose list is evaluated again, `fresh` for a job that
-- takes over no earlier result from now on. Behind a tab may be the definition of the job in another plan, see lib/redefinition. The
-- first entry of such a retry is "@" with the fields of the run; "<ordinal> kept" is for a job that stays as it is and has other dependents.
local TRACES = {
  'allowed', 'cancel', 'cancel_reason', 'halt', 'returns', 'verdict', 'exit_code', 'worker', 'ended_at', 'started_at', 'enqueued_at', 'decided_by', 'decided_at',
  'decision', 'comment', 'asked_at', 'cache', 'artifacts',
}

local function arm_one(run, entry, plan)
  local head, definition = string.match(entry, '^([^\t]*)\t?(.*)$')
  local field = {}
  for word in string.gmatch(head, '%S+') do field[#field + 1] = word end
  local new = definition ~= '' and cjson.decode(definition)
  if field[1] == '@' then return L.take_plan(run, new) end
  local job = L.load(L.member(run, field[1]))
  if not job or not L.ended(job.status) then return end
  if field[2] == 'kept' then return L.redefine_edges(job, new[2]) end
  if L.is_warning(job) then L.add(run, 'warnings', -1) end
  if job.artifacts then L.drop_artifacts(job.id) end
  call('HDEL', K.job(job.id), unpack(TRACES))
  for _, name in ipairs(TRACES) do job[name] = nil end
  if field[8] == '1' then L.shrink(job) end
  local extra = { 'pending', field[2], 'attempt', 0 }
  if field[3] ~= '-' then extra[5], extra[6] = 'verdict', field[3] end
  if field[9] == '1' then extra[#extra + 1], extra[#extra + 2] = job.kind == 'foreach' and 'cell:fresh' or 'fresh', '1' end
  if job.kind == 'group' then
    for i, name in ipairs({ 'finished', 'failed', 'skipped', 'canceled' }) do
      extra[#extra + 1], extra[#extra + 2] = 'cells:' .. name, field[3 + i]
    end
  end
  if plan then
    extra[#extra + 1], extra[#extra + 2] = 'plan', plan
    if job.kind == 'foreach' then extra[#extra + 1], extra[#extra + 2] = 'cell:plan', plan end
  end
  L.set_status(job, 'deferred', nil, now, extra)
  if new then L.redefine(job, new[1], new[2]) end
  if not job.phase then L.add(run, 'open', 1) end
end

function L.step.arm(run, cursor, budget)
  local entries = call('LRANGE', K.staging(run), cursor, cursor + budget - 1)
  for _, entry in ipairs(entries) do arm_one(run, entry, call('HGET', K.run(run), 'plan_attempt')) end
  if #entries < budget then
    L.push('restart', run, 0, run)
    return #entries, nil
  end
  return #entries, cursor + #entries
end

function L.step.restart(run, cursor, budget)
  local entries = call('LRANGE', K.staging(run), cursor, cursor + budget - 1)
  for _, entry in ipairs(entries) do
    local ordinal = string.match(entry, '^(%d+)')
    if ordinal then start_one(L.member(run, ordinal)) end
  end
  if #entries < budget then
    call('DEL', K.staging(run))
    L.may_have_ended(run)
    return #entries, nil
  end
  return #entries, cursor + #entries
end
