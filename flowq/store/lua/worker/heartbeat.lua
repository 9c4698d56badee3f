-- worker/heartbeat: renews a worker's leases, and returns the executions that it must give up
-- edges: queued -> started (the execution was taken for lost), scheduled -> started (likewise)
-- args: worker lease state finished failed working_ms queues* fields* (id token)…
-- guard: a lease is renewed only for the execution that holds the job
-- replies: {{go_on | cancel | stop | fenced per execution}, 1 when no worker sweeps, 1 when callbacks of lost executions wait on one of the queues}
-- uses: job/release_dependents lib/outages lib/regain lib/sweep_turns
-- memory: also when none is left
-- A worker that was removed (it was silent, or a later worker of its name was unregistered) is listed again: `fields` are those of `register`.
-- A silent worker's name may be another one's by now. As long as that one lives the record is not touched: its beats would be believed of it.
local WORKER_LIFE = 86400000 -- ms its record is kept without a beat; the sweep forgets a silent worker much earlier
local LEASE = 10000 -- ms, as of `register`

local function nonce_in(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'nonce' then return fields[i + 1] end
  end
end

-- Take the name (again) unless another worker that lives has it. Returns whether it is this worker's.
local function has_name(key, fields)
  local known = call('HMGET', key, 'pid', 'nonce', 'beat', 'lease')
  local own = nonce_in(fields)
  if known[1] and (not own or not known[2] or known[2] == own) then return true end
  if known[1] and tonumber(known[3] or 0) + 2 * tonumber(known[4] or LEASE) > now then return false end
  call('HSET', key, 'started', now, unpack(fields))
  return true
end

function T.heartbeat()
  local worker, lease, state = A.text(), A.number(), A.text()
  local finished, failed, working_ms, queues, fields = A.text(), A.text(), A.text(), A.list(), A.list()
  local key = K.worker(worker)
  L.note_service(lease)
  local executions = A.number()
  if has_name(key, fields) then
    call('HSET', key, 'state', state, 'beat', now, 'finished', finished, 'failed', failed, 'working_ms', working_ms, 'busy', executions)
    call('PEXPIRE', key, WORKER_LIFE)
    call('ZADD', K.workers(), now, worker)
  end
  local callbacks = 0
  -- A hint that was lost (its taker died, or it was taken by a busy worker) is renewed here.
  for _, queue in ipairs(queues) do
    if call('EXISTS', K.queue(queue)) == 1 and call('EXISTS', K.wake(queue)) == 0 then L.wake(queue) end
    if callbacks == 0 and call('ZCOUNT', K.callbacks(queue), '-inf', now) > 0 then callbacks = 1 end
  end
  local verdicts, regained = {}, false
  for i = 1, executions do
    local id, token = A.text(), A.text()
    local found = call('HMGET', K.job(id), 'status', 'token', 'cancel', 'queue', 'outcome', 'gaps')
    if found[1] ~= 'started' and found[5] == 'lost' and L.regain(L.load(id), token, now + lease) then
      found[1], regained = 'started', true
    end
    if found[1] ~= 'started' or found[2] ~= token then
      verdicts[i] = 'fenced'
    else
      call('ZADD', K.leases(), now + lease, id)
      if found[6] then call('HDEL', K.job(id), 'gaps') end
      call('ZADD', K.registry('started', found[4]), now + lease, id)
      verdicts[i] = found[3] == '1' and 'cancel' or (found[3] == '2' and 'stop' or 'go_on')
    end
  end
  if regained then L.drain(100) end
  return { verdicts, L.is_unswept() and 1 or 0, callbacks }
end
