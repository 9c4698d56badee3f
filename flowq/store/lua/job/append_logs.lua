-- job/append_logs: stores captured output of a running execution
-- edges: -
-- args: id token index stream data
-- guard: the token is the job's current one; an index that was stored before is a duplicate
-- replies: {done | duplicate | fenced | not_found}
-- uses: lib/status
-- Output is limited by its size, which is what costs memory: a run of 100,000 quiet jobs keeps all of it, a noisy job the end of its
-- own. A job over its limit loses its own oldest entries. They are looked for from where the last search ended (field `log_trimmed`),
-- a few in each call. A run over its limit loses the oldest quarter of all its entries at once.
local JOB_BYTES = 16777216
local RUN_BYTES = 67108864
local PLAIN_KEPT = 1000
local SEARCHED = 50 -- entries; each call adds one

local function trim(run, stream, bytes)
  local entries = call('XLEN', stream)
  local keep = math.max(1, math.floor(entries * 3 / 4))
  call('XTRIM', stream, 'MAXLEN', keep)
  call('HSET', K.run(run), 'log_bytes', math.floor(bytes * keep / entries))
end

-- Returns the bytes that were deleted. The newest entry stays. A search that reaches it has found all there is of the job: its sum counted
-- entries that the run has lost.
local function trim_job(id, stream, newest, size, excess)
  local after = call('HGET', K.job(id), 'log_trimmed')
  local freed, searched = 0, false
  for _, entry in ipairs(call('XRANGE', stream, after and '(' .. after or '-', '+', 'COUNT', SEARCHED)) do
    if freed >= excess then break end
    searched = entry[1] == newest
    if searched then break end
    after = entry[1]
    local job, data = entry[2][2], entry[2][8]
    if job == id then
      call('XDEL', stream, after)
      freed = freed + #data
    end
  end
  if after then call('HSET', K.job(id), 'log_trimmed', after) end
  if searched then call('HSET', K.job(id), 'log_bytes', size) else call('HINCRBY', K.job(id), 'log_bytes', -freed) end
  return freed
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
  local log = K.logs(run or id)
  local newest = run and call('XADD', log, unpack(entry)) or call('XADD', log, 'MAXLEN', '~', PLAIN_KEPT, unpack(entry))
  local of_job = call('HINCRBY', K.job(id), 'log_bytes', #data)
  local freed = of_job > JOB_BYTES and trim_job(id, log, newest, #data, of_job - JOB_BYTES) or 0
  if run then
    local bytes = call('HINCRBY', K.run(run), 'log_bytes', #data - freed)
    if bytes > RUN_BYTES then trim(run, log, bytes) end
  end
  return 'done'
end

function T.append_logs()
  return { L.logs() }
end
