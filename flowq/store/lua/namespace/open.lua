-- namespace/open: find or found the data of a namespace
-- edges: -
-- args: schema incarnation
-- guard: an existing namespace keeps its incarnation, unless its data has the schema before this one; any other schema is reported
-- replies: {schema, incarnation, server time in ms, 1 while records are to be migrated}
-- uses: lib/server
-- memory: also when none is left
-- Runs without the incarnation guard: callers learn the incarnation from it.
-- Data of the schema before this one gets this schema and a new incarnation in one step, so that running processes of the earlier version
-- are refused from then on. Its records follow by `namespace/migrate`.
local function begin_migration(schema, incarnation)
  local server = pcall(call, 'SCAN', '0', 'COUNT', 1) and L.server_id()
  if not server then return redis.error_reply('NOPERM the migration of data to another schema needs INFO and SCAN') end
  call('HSET', KEYS[1], 'schema', schema, 'incarnation', incarnation, 'migration', server .. ' 0')
end

function T.open()
  local schema, incarnation = A.text(), A.text()
  if call('EXISTS', KEYS[1]) == 0 then
    call('HSET', KEYS[1], 'schema', schema, 'incarnation', incarnation, 'created', now)
  end
  local stored = call('HGET', KEYS[1], 'schema')
  if tonumber(stored or nil) == tonumber(schema) - 1 then
    local refused = begin_migration(schema, incarnation)
    if refused then return refused end
  end
  local found = call('HMGET', KEYS[1], 'schema', 'incarnation', 'migration')
  return { found[1], found[2], now, found[3] and 1 or 0 }
end
