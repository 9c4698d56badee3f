-- worker/declare_gone: lets the next sweep reap the jobs of a worker whose process is known to have ended
-- edges: -
-- args: worker nonce
-- guard: the record is that of this worker, and its lease has run out
-- replies: {done | wrong_state | not_found}
-- uses: -
-- Where no other worker was there meanwhile, the time since its end looks like an outage of the server, in which leases do not expire.
local LEASE = 10000 -- ms, as of worker/register

function T.declare_gone()
  local worker, nonce = A.text(), A.text()
  local key = K.worker(worker)
  local known = call('HMGET', key, 'nonce', 'beat', 'lease')
  if known[1] ~= nonce then return { 'not_found' } end
  if tonumber(known[2] or 0) + tonumber(known[3] or LEASE) > now then return { 'wrong_state' } end
  local fields = call('HGETALL', key)
  for i = 1, #fields, 2 do
    local id = string.sub(fields[i], 1, 6) == 'claim:' and string.match(fields[i + 1], '^%S+ (.*)$')
    if id then
      local job = call('HMGET', K.job(id), 'status', 'worker')
      if job[1] == 'started' and job[2] == worker then call('ZADD', K.leases(), 'XX', 0, id) end
    end
  end
  return { 'done' }
end
