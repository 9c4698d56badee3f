-- lib/server: the identity of the server's process
-- uses: -

-- The id that the server has until it restarts; nil if this user has no right to read it.
function L.server_id()
  local allowed, info = pcall(call, 'INFO', 'server')
  return allowed and string.match(info, 'run_id:(%w+)') or nil
end
