-- access/touch: notes when, and from where, a token or a session was used
-- edges: -
-- args: digest address
-- guard: it is there
-- replies: {done | not_found}
-- uses: -
function T.touch()
  local digest, address = A.text(), A.text()
  if call('EXISTS', K.access(digest)) == 0 then return { 'not_found' } end
  call('HSET', K.access(digest), 'used', now, 'address', address)
  return { 'done' }
end
