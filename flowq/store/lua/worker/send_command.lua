-- worker/send_command: sends a command to one worker
-- edges: -
-- args: worker nonce command
-- guard: the worker is there; the same nonce again is a duplicate
-- replies: {done | duplicate | not_found}
-- uses: lib/status
-- The latest commands are lines "<nonce> <command>" of a field of its record, the call only wakes it. It remembers which it has
-- carried out, so nothing is lost with a reply, and nothing that comes from a key is ever decoded or imported.
local COMMANDS_KEPT = 1000 -- characters

function T.send_command()
  local worker, nonce, command = A.text(), A.text(), A.text()
  if not call('ZSCORE', K.workers(), worker) then return { 'not_found' } end
  local said = call('HGET', K.worker(worker), 'commands') or ''
  if string.find(said, nonce, 1, true) then return { 'duplicate' } end
  said = string.sub(said .. nonce .. ' ' .. command .. '\n', -COMMANDS_KEPT)
  call('HSET', K.worker(worker), 'commands', said)
  L.call_worker(worker)
  return { 'done' }
end
