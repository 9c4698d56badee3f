-- logs: captured output of a running execution
-- edges: -
-- args: id token index stream data
-- guard: the token is the job's current one; an index that was stored before is a duplicate
-- replies: {done | duplicate | fenced | not_found}
-- uses: jobs
local KEPT = 20000
local PLAIN_KEPT = 1000

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
  call('XADD', K.logs(run or id), 'MAXLEN', '~', run and KEPT or PLAIN_KEPT, '*', 'j', id, 'x', execution, 's', stream, 'd', data)
  return 'done'
end

function T.logs()
  return { L.logs() }
end
