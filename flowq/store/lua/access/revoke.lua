-- access/revoke: forgets a token, a session or a link, and the sessions that were opened with it
-- edges: -
-- args: digest
-- guard: -
-- replies: {done, number | not_found, number}
-- uses: -
-- memory: also when none is left
-- `number` counts what is gone.
function T.revoke()
  local digest, gone = A.text(), 0
  local known = call('ZRANGE', K.accesses(), 0, -1)
  for i = 1, #known do
    if known[i] == digest or call('HGET', K.access(known[i]), 'parent') == digest then
      gone = gone + call('DEL', K.access(known[i]))
      call('ZREM', K.accesses(), known[i])
    end
  end
  return { gone > 0 and 'done' or 'not_found', gone }
end
