-- stage: some jobs of a run that is being submitted, invisible until the flip
-- edges: - -> deferred
-- args: run nonce chunk rows
-- guard: the run id is free or staged by the same nonce; a chunk that was staged before is a duplicate
-- replies: {done | duplicate | conflict}
-- uses: jobs
-- Each of `rows` is: ordinal, a list of fields, a list of children "<ordinal>|<condition>". A submitter that dies leaves the run
-- `staging`; a timer that each chunk pushes on collects it.
local STAGING_LIFE = 60000

function T.stage()
  local run, nonce, chunk, rows = A.text(), A.text(), A.number(), A.number()
  local key = K.run(run)
  local found = call('HMGET', key, 'status', 'nonce', 'chunks')
  if found[1] and (found[1] ~= 'staging' or found[2] ~= nonce) then
    return { found[2] == nonce and 'duplicate' or 'conflict' }
  end
  if tonumber(found[3] or 0) > chunk then return { 'duplicate' } end
  for _ = 1, rows do
    local id = run .. '-' .. A.text()
    local fields, children = A.list(), A.list()
    if #children > 0 then
      fields[#fields + 1], fields[#fields + 2] = 'kids', '1'
    end
    call('HSET', K.job(id), 'status', 'deferred', 'run', run, unpack(fields))
    for i = 1, #children, 1000 do
      local some = {}
      for j = i, math.min(i + 999, #children) do some[#some + 1] = run .. '-' .. children[j] end
      call('RPUSH', K.children(id), unpack(some))
    end
  end
  call('HSET', key, 'status', 'staging', 'nonce', nonce, 'chunks', chunk + 1)
  call('HINCRBY', key, 'cells', rows)
  call('ZADD', K.timers(), now + STAGING_LIFE, 'collect|' .. run)
  return { 'done' }
end
