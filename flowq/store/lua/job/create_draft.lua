-- job/create_draft: stores a plain job without enqueueing it
-- edges: - -> created
-- args: as of create; `unique`, `due` and `coming` make no difference
-- guard: the same nonce again is a duplicate; a taken id is a conflict, unless by a draft, which is replaced; no parent waits for this job
-- replies: {done | duplicate | conflict, status} or {cycle, as of create}
-- uses: job/create lib/dependency_cycle
-- A draft is in no structure and has no end. When it is enqueued, its parents are looked up and it joins its group.
function T.create_draft()
  local nonce, id, _, queue, payload, meta = A.text(), A.text(), A.text(), A.text(), A.text(), A.text()
  local _, front, group, _, parents, fields = A.number(), A.text(), A.text(), A.number(), A.list(), A.list()
  local old = L.load(id)
  if old then
    if old.nonce == nonce then return { 'duplicate', old.status } end
    if old.status ~= 'created' then return { 'conflict', old.status } end
  end
  local parent_ids = {}
  for i, edge in ipairs(parents) do parent_ids[i] = string.match(edge, '^(.*)|') end
  local cycle = #parents > 0 and L.dependency_cycle(id, old, parent_ids)
  if cycle then return { 'cycle', cycle } end
  if old then L.replace(old) end
  L.write(id, { 'status', 'created', 'queue', queue, 'nonce', nonce, 'created_at', now, unpack(fields) }, old)
  L.write_data(id, payload, meta)
  if group ~= '' then call('HSET', K.job(id), 'group_id', group) end
  if front == '1' then call('HSET', K.job(id), 'front', '1') end
  for i, edge in ipairs(parents) do
    call('RPUSH', K.parents(id), edge)
    call('SADD', K.drafted(parent_ids[i]), id)
  end
  L.event(nil, id, '-', 'created')
  return { 'done', 'created' }
end
