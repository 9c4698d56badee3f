-- lib/execution_history: an execution as its worker gets it, and the data kept of those before the latest: exactly nine results in a list, and the ledger of tokens.
-- uses: lib/status lib/artifacts

-- Before a new execution: the previous one's result goes to the list, its token to the ledger.
function L.archive(job)
  if not job.token then return end
  local outcome = job.outcome or 'lost'
  call('HSET', K.ledger(job.id), job.token, outcome)
  if outcome ~= 'unclaimed' then
    local value = call('GET', K.result(job.id))
    local head = { outcome, L.execution_of(job.token), job.ended_at or now, value and 1 or 0, job.started_at or '', job.worker or '' }
    call('LPUSH', K.results(job.id), table.concat(head, ' ') .. '\n' .. (value or ''))
    call('LTRIM', K.results(job.id), 0, D.RESULTS_KEPT - 2)
  end
  call('DEL', K.result(job.id))
  if job.artifacts then L.drop_artifacts(job.id) end
  call('HDEL', K.job(job.id), 'outcome', 'exit_code', 'ended_at', 'cache', 'artifacts')
  job.outcome, job.exit_code, job.ended_at, job.cache, job.artifacts = nil, nil, nil, nil, nil
end

-- Whether a reporting execution may still end its job: nil (it holds the job), 'duplicate' or 'fenced'.
function L.standing(job, token)
  if not job then return 'not_found' end
  local outcome
  if job.token == token then
    if job.status == 'started' then return nil end
    outcome = job.outcome
  else
    outcome = call('HGET', K.ledger(job.id), token)
  end
  if not outcome or outcome == 'lost' or outcome == 'unclaimed' then return 'fenced' end
  return 'duplicate'
end

-- A job as its worker gets it, in one list: every table in a reply is looked through for what makes it an error, a map and so on. `flat`
-- are its fields, `changed` those that have changed since, integers among them.
function L.answer_of(job, token, flat, changed)
  local last = #flat
  for i = 1, changed and #changed or 0 do
    last = last + 1
    flat[last] = changed[i]
  end
  flat[last + 1], flat[last + 2], flat[last + 3] = job.id, token, job.run and '' or call('GET', K.payload(job.id)) or ''
  return flat
end

function L.claim_answer(job, token)
  local flat, last = {}, 0
  for name, value in pairs(job) do
    if name ~= 'id' and name ~= 'popped' then
      flat[last + 1], flat[last + 2] = name, value .. '' -- a number would be cut to an integer
      last = last + 2
    end
  end
  return L.answer_of(job, token, flat)
end
