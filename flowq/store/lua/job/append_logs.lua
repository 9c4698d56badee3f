-- job/append_logs: stores captured output of a running execution
-- edges: -
-- args: id token index stream data
-- guard: the token is the job's current one; an index that was stored before is a duplicate
-- replies: {done | duplicate | fenced | not_found}
-- uses: lib/status
-- A run's output is limited by its size, which is what costs memory: a run of 100,000 quiet jobs keeps all of it, a noisy job the
-- end of it. When it is over, the oldest quarter goes at once, so that it is not done for each entry.
local RUN_BYTES = 67108864
local PLAIN_KEPT = 1000

local function trim(run, stream, bytes)
  local entries = call('XLEN', stream)
  local keep = math.max(1, math.floor(entries * 3 / 4))
  call('XTRIM', stream, 'MAXLEN', keep)
  call('HSET', K.run(run), 'log_bytes', math.floor(bytes * keep / entries))
end

function L.logs()
  local id, token, index, stream, data = A.text(), A.text(), A.number(), A.text(), A.text()
  local found = call('HMGET', K.job(id), 'token', 'logged', 'run')
  if not found[1] then return call('EXISTS', K.job(id)) == 1 and 'fenced' or 'not_found' end
  if found[1] ~= token then return 'fenced' end
  local execution = string.match(token, '^%d+')
  local stored_execution, stored = string.match(found[2] or '', '^(%d+):(%d+)$')
  if stored_execution == execution and tonumber(stored) >= index then return 'duplicate' end
  call('HSET', K.job(id), 'logged', execution .. ':' .. index)
  local run = found[3]
  local entry = { '*', 'j', id, 'x', execution, 's', stream, 'd', data }
  if not run then
    call('XADD', K.logs(id), 'MAXLEN', '~', PLAIN_KEPT, unpack(entry))
  else
    call('XADD', K.logs(run), unpack(entry))
    local bytes = call('HINCRBY', K.run(run), 'log_bytes', #data)
    if bytes > RUN_BYTES then trim(run, K.logs(run), bytes) end
  end
  return 'done'
end

function T.append_logs()
  return { L.logs() }
end
