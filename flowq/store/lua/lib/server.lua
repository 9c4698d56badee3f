-- lib/server: which process of the server this is
-- uses: -

-- The id that the server has until it restarts; nil where this user may not ask.
function L.server_id()
  local allowed, info = pcall(call, 'INFO', 'server')
  return allowed and string.match(info, 'run_id:(%w+)') or nil
end
