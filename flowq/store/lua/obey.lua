-- obey: a worker that was woken takes note of what it is told
-- edges: -
-- args: worker
-- guard: -
-- replies: {command ('' for none)}
-- uses: -
function T.obey()
  local key = K.worker(A.text())
  local command = call('HGET', key, 'command')
  if command then call('HDEL', key, 'command') end
  return { command or '' }
end
