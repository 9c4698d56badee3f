-- called: the failure callback of a lost execution was called
-- edges: -
-- args: queue id execution nonce
-- guard: it was to be called
-- replies: {done | duplicate}
-- uses: -
function T.called()
  local queue, id, execution, nonce = A.text(), A.text(), A.text(), A.text()
  return { call('ZREM', K.callbacks(queue), execution .. ':' .. nonce .. '|' .. id) == 1 and 'done' or 'duplicate' }
end
