-- schedule/unregister: removes a scheduler from the list of those that are woken
-- edges: -
-- args: scheduler
-- guard: -
-- replies: {done}
-- uses: -
-- memory: also when none is left
function T.unregister()
  local name = A.text()
  call('ZREM', K.loops(), name)
  call('DEL', K.call(name))
  return { 'done' }
end
