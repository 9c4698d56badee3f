-- run/upload_jobs: stages jobs of a run that is being submitted, and a piece of its plan, invisible until the flip
-- edges: - -> deferred
-- args: run nonce chunk rows piece
-- guard: the run id is free or staged by the same nonce; chunks arrive in order, one that was staged before is a duplicate
-- replies: {done | duplicate | conflict | wrong_state}
-- uses: lib/status
-- `rows` is JSON, a list of jobs: [ordinal, [field, value, ...], ["<ordinal of a child>|<condition>", ...]], all texts. A job with very many
-- children has several rows, those behind the first without fields. A submitter that dies leaves the run `staging`; a timer that each chunk
-- pushes on collects it.
local STAGING_LIFE = 60000

function T.upload_jobs()
  local run, nonce, chunk, rows, piece = A.text(), A.text(), A.number(), cjson.decode(A.text()), A.text()
  local key = K.run(run)
  local found = call('HMGET', key, 'status', 'nonce', 'chunks')
  if found[1] and (found[1] ~= 'staging' or found[2] ~= nonce) then
    return { found[2] == nonce and 'duplicate' or 'conflict' }
  end
  local staged = tonumber(found[3] or 0)
  if staged > chunk then return { 'duplicate' } end
  if staged < chunk then return { 'wrong_state' } end
  local cells = 0
  for _, row in ipairs(rows) do
    local id, fields, children = L.member(run, row[1]), row[2], row[3]
    if #fields > 0 then
      cells = cells + 1
      if #children > 0 then
        fields[#fields + 1], fields[#fields + 2] = 'has_dependents', '1'
      end
      call('HSET', K.job(id), 'status', 'deferred', 'run', run, unpack(fields))
      for i = 1, #fields, 2 do
        if fields[i] == 'phase' then call('RPUSH', K.handlers(run), row[1]) end
      end
    end
    for i = 1, #children, 1000 do
      local some = {}
      for j = i, math.min(i + 999, #children) do some[#some + 1] = L.member(run, children[j]) end
      call('RPUSH', K.children(id), unpack(some))
    end
  end
  call(chunk == 0 and 'SET' or 'APPEND', K.plan(run), piece)
  call('HSET', key, 'status', 'staging', 'nonce', nonce, 'chunks', chunk + 1)
  call('HINCRBY', key, 'cells', cells)
  call('ZADD', K.timers(), now + STAGING_LIFE, 'collect|' .. run)
  return { 'done' }
end
