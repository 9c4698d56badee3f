-- access/grant: keeps a token, a session or a link by the digest of its secret
-- edges: -
-- args: digest expires (name value)…*
-- guard: no other one has the digest
-- replies: {done | duplicate}
-- uses: -
-- `expires` is a time in ms, or -1. One that has expired is gone from the list with the next grant.
function T.grant()
  local digest, expires, fields = A.text(), A.number(), A.list()
  if call('EXISTS', K.access(digest)) == 1 then return { 'duplicate' } end
  call('ZREMRANGEBYSCORE', K.accesses(), '-inf', now)
  call('HSET', K.access(digest), 'created', now, 'expires', expires, unpack(fields))
  if expires >= 0 then call('PEXPIREAT', K.access(digest), expires) end
  call('ZADD', K.accesses(), expires >= 0 and expires or '+inf', digest)
  return { 'done' }
end
