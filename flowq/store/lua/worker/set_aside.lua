-- worker/set_aside: removes a record that a worker could not read from the list from which it came
-- edges: -
-- args: kind id text
-- guard: -
-- replies: {done}
-- uses: lib/set_aside
function T.set_aside()
  local kind, id, text = A.text(), A.text(), A.text()
  if kind == 'decide' then call('ZREM', K.decide(), id) end
  L.set_aside(kind, id, text)
  return { 'done' }
end
