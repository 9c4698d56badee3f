-- schedule/claim_catalog: lets one directory have a name, the first part of the ids of its schedules
-- edges: -
-- args: name identity take_over
-- guard: the name is free, or that directory's already, or it is to be taken over
-- replies: {done | duplicate | conflict, the identity that has the name}
-- uses: -
function T.claim_catalog()
  local name, identity, take_over = A.text(), A.text(), A.text() == '1'
  local holder = call('HGET', K.catalogs(), name)
  if holder == identity then return { 'duplicate', holder } end
  if holder and not take_over then return { 'conflict', holder } end
  call('HSET', K.catalogs(), name, identity)
  return { 'done', identity }
end
