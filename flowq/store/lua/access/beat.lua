-- access/beat: notes that a page lives, or has ended
-- edges: -
-- args: name text
-- guard: -
-- replies: {done}
-- uses: -
-- An empty `text` removes it. What has not beaten for a day is removed as well.
local DAY = 86400000 -- ms

function T.beat()
  local name, text = A.text(), A.text()
  local old = call('ZRANGEBYSCORE', K.pages(), '-inf', now - DAY)
  for i = 1, #old do
    call('HDEL', K.page_texts(), old[i])
    call('ZREM', K.pages(), old[i])
  end
  if text == '' then
    call('HDEL', K.page_texts(), name)
    call('ZREM', K.pages(), name)
  else
    call('HSET', K.page_texts(), name, text)
    call('ZADD', K.pages(), now, name)
  end
  return { 'done' }
end
