-- job/upload_foreach_items: stages items of an evaluated foreach list, without effect until job/expand_foreach
-- edges: -
-- args: id nonce chunk first items*
-- guard: a foreach that waits for its list; chunks of one nonce arrive in order, the first chunk of another nonce starts afresh
-- replies: {done | duplicate | wrong_state | not_found}
-- uses: lib/status
-- `first` is the index of the first of these items; an item is its JSON.
function L.waits_for_list(job)
  return job.status == 'deferred' and job.kind == 'foreach' and call('ZSCORE', K.decide(), job.id)
end

function T.upload_foreach_items()
  local id, nonce, chunk, first, items = A.text(), A.text(), A.number(), A.number(), A.list()
  local job = L.load(id)
  if not job then return { 'not_found' } end
  if job.expanded == nonce then return { 'duplicate' } end
  if not L.waits_for_list(job) then return { 'wrong_state' } end
  if chunk == 0 and job.items ~= nonce then
    call('DEL', K.items(id))
    call('HSET', K.job(id), 'items', nonce, 'item_chunks', 0)
    job.items, job.item_chunks = nonce, 0
  end
  if job.items ~= nonce then return { 'wrong_state' } end
  if tonumber(job.item_chunks) > chunk then return { 'duplicate' } end
  for i, item in ipairs(items) do call('HSET', K.items(id), first + i - 1, item) end
  call('HSET', K.job(id), 'item_chunks', chunk + 1)
  return { 'done' }
end
