-- queue/suspend: keeps workers from claiming, until resumed or for a time
-- edges: -
-- args: ttl
-- guard: -
-- replies: {done}
-- uses: -
-- `ttl` in ms, -1 without an end. Running jobs continue.
function T.suspend()
  local ttl = A.number()
  call('HSET', KEYS[1], 'suspended', ttl < 0 and 'forever' or now + ttl)
  return { 'done' }
end
