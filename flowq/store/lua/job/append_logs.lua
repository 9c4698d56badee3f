-- job/append_logs: stores captured output of a running execution
-- edges: -
-- args: id token index stream data
-- guard: the token is the job's current one; an index that was stored before is a duplicate
-- replies: {done | duplicate | fenced | not_found}
-- uses: lib/status
-- Output is limited by its size, which is what costs memory: a run of 100,000 quiet jobs keeps all of it, a noisy job its first lines and
-- the end of its own. A job over its limit loses its own oldest entries, except the first ones of its execution. They are looked for from
-- where the last search ended (field `log_trimmed`), a few in each call. A run over its limit loses the oldest quarter of all its entries
-- at once.
-- The output of a job is found without reading that of the others: its record says where it begins and ends in the run's log, each entry
-- at which byte of its execution it begins, and marks (`logs:<job>`) where each MARK bytes are. A mark is `<execution>-<byte>`, so the
-- server finds the one before a byte; a job with less output has none.
local JOB_BYTES = 16777216
local RUN_BYTES = 67108864
local HEAD_BYTES = 65536
local MARK = 131072
local MARKS = 1000 -- kept; those of JOB_BYTES are 128
local PLAIN_KEPT = 1000
local SEARCHED = 50 -- entries; each call adds one

local function trim(run, stream, bytes)
  local entries = call('XLEN', stream)
  local keep = math.max(1, math.floor(entries * 3 / 4))
  call('XTRIM', stream, 'MAXLEN', keep)
  call('HSET', K.run(run), 'log_bytes', math.floor(bytes * keep / entries))
end

-- Returns the bytes that were deleted, the place where the search ended, and whether it reached the newest entry, which stays. Then it has
-- found all there is of the job: its sum counted entries that the run has lost.
local function trim_job(id, execution, stream, newest, after, excess)
  local freed = 0
  for _, entry in ipairs(call('XRANGE', stream, after and '(' .. after or '-', '+', 'COUNT', SEARCHED)) do
    if freed >= excess then break end
    if entry[1] == newest then return freed, after, true end
    after = entry[1]
    local fields = entry[2]
    local job, of, data, first = fields[2], fields[4], fields[8], tonumber(fields[10])
    if job == id and not (of == execution and first and first < HEAD_BYTES) then
      call('XDEL', stream, after)
      freed = freed + #data
    end
  end
  return freed, after, false
end

-- Notes where the entry is that begins at a byte of an execution, if it is the first one behind a multiple of MARK, or of a repeat.
local function mark(id, execution, first, size, entry, repeated)
  local crosses = first > 0 and math.floor(first / MARK) < math.floor((first + size) / MARK)
  if crosses or (repeated and first == 0) then
    call('XADD', K.logs(id), 'MAXLEN', '~', MARKS, execution .. '-' .. string.format('%d', first), 'e', entry)
  end
end

function L.logs()
  local id, token, index, stream, data = A.text(), A.text(), A.number(), A.text(), A.text()
  local found = call('HMGET', K.job(id), 'token', 'logged', 'run', 'log_bytes', 'log_written', 'log_first', 'log_trimmed')
  if not found[1] then return call('EXISTS', K.job(id)) == 1 and 'fenced' or 'not_found' end
  if found[1] ~= token then return 'fenced' end
  L.ask()
  local execution = string.match(token, '^%d+')
  local stored_execution, stored = string.match(found[2] or '', '^(%d+):(%d+)$')
  local goes_on = stored_execution == execution
  if goes_on and tonumber(stored) >= index then return 'duplicate' end
  local run, first = found[3], 0 -- nil: an earlier version of flowq, which did not count, stored the begin of this execution
  if goes_on then first = tonumber(string.match(found[5] or '', '^%d+$')) end
  local entry = { '*', 'j', id, 'x', execution, 's', stream, 'd', data, first and 'o', first and string.format('%d', first) }
  local log = K.logs(run or id)
  local newest = run and call('XADD', log, unpack(entry)) or call('XADD', log, 'MAXLEN', '~', PLAIN_KEPT, unpack(entry))
  if found[7] and not goes_on then call('HDEL', K.job(id), 'log_trimmed') end
  local bytes, freed = (tonumber(found[4]) or 0) + #data, 0
  if bytes > JOB_BYTES then
    local trimmed, searched
    freed, trimmed, searched = trim_job(id, execution, log, newest, goes_on and found[7], bytes - JOB_BYTES)
    if trimmed then call('HSET', K.job(id), 'log_trimmed', trimmed) end
    bytes = searched and #data or bytes - freed
  end
  local logged, written = execution .. ':' .. index, first and string.format('%d', first + #data) or '-1'
  call('HSET', K.job(id), 'logged', logged, 'log_bytes', bytes, 'log_written', written, 'log_first', found[6] or found[2] and '0' or newest)
  if run then
    if first then mark(id, execution, first, #data, newest, stored_execution) end
    local of_run = call('HINCRBY', K.run(run), 'log_bytes', #data - freed)
    if of_run > RUN_BYTES then trim(run, log, of_run) end
  end
  return 'done'
end

function T.append_logs()
  return { L.logs() }
end
