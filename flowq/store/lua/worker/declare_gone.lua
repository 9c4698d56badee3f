-- worker/declare_gone: lets the next sweep reap the jobs of a worker whose process is known to have ended
-- edges: -
-- args: worker nonce
-- guard: the record is that of this worker, and its lease has run out
-- replies: {done | wrong_state | not_found}
-- uses: lib/set_aside
-- Where no other worker was there meanwhile, the time since its end looks like an outage of the server, in which leases do not expire.
local LEASE = 10000 -- ms, as of worker/register
local LOOKED_AT = 5000 -- leases at most, the earliest ones: those of a worker that has ended are among them

function T.declare_gone()
  local worker, nonce = A.text(), A.text()
  local key = K.worker(worker)
  local known = call('HMGET', key, 'nonce', 'beat', 'lease')
  if known[1] ~= nonce then return { 'not_found' } end
  if tonumber(known[2] or 0) + tonumber(known[3] or LEASE) > now then return { 'wrong_state' } end
  for _, id in ipairs(call('ZRANGE', K.leases(), 0, LOOKED_AT - 1)) do
    local well, of = L.guarded('lease', id, call, 'HGET', K.job(id), 'worker')
    if well and of == worker then call('ZADD', K.leases(), 'XX', 0, id) end
  end
  return { 'done' }
end
