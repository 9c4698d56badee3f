-- queue/suspend: no worker claims anything until further notice, or for some time
-- edges: -
-- args: ttl
-- guard: -
-- replies: {done}
-- uses: -
-- `ttl` in ms, -1 without an end. Running jobs go on.
function T.suspend()
  local ttl = A.number()
  call('HSET', KEYS[1], 'suspended', ttl < 0 and 'forever' or now + ttl)
  return { 'done' }
end
