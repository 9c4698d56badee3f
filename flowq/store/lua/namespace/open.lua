-- namespace/open: find or found the data of a namespace
-- edges: -
-- args: schema incarnation
-- guard: an existing namespace keeps its incarnation; another schema is reported, never converted
-- replies: {schema, incarnation, server time in ms}
-- uses: -
-- Runs without the incarnation guard: it is what tells a caller which incarnation there is.
function T.open()
  local schema, incarnation = A.text(), A.text()
  if call('EXISTS', KEYS[1]) == 0 then
    call('HSET', KEYS[1], 'schema', schema, 'incarnation', incarnation, 'created', now)
  end
  local found = call('HMGET', KEYS[1], 'schema', 'incarnation')
  return { found[1], found[2], now }
end
