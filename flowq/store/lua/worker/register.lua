-- worker/register: adds a worker to the list of workers
-- edges: -
-- args: worker nonce former fields* commands*
-- guard: the caller may use all of these commands; no worker of this name lives, except one with the nonce `former`, which is known to be gone; the same nonce again is a duplicate
-- replies: {done | duplicate} or {conflict, nonce, hostname, pid, identity of its process} or {denied, commands*}
-- uses: -
-- rights:
-- A worker lives as long as its latest heartbeat is not older than two of its leases.
local LEASE = 10000 -- ms, of a worker of an earlier version, which did not say

function T.register()
  local worker, nonce, former, fields, commands = A.text(), A.text(), A.text(), A.list(), A.list()
  local key, missing = K.worker(worker), L.missing_rights(commands, 1, #commands)
  if missing[1] then return { 'denied', unpack(missing) } end
  local known = call('HMGET', key, 'nonce', 'pid', 'hostname', 'beat', 'lease', 'process')
  if known[1] == nonce then return { 'duplicate' } end
  local lives = known[2] and tonumber(known[4] or 0) + 2 * tonumber(known[5] or LEASE) > now
  if lives and (former == '' or (known[1] or '-') ~= former) then
    return { 'conflict', known[1] or '-', known[3] or '', known[2], known[6] or '' }
  end
  call('DEL', key)
  call('HSET', key, 'started', now, 'beat', now, 'state', 'idle', 'busy', 0, 'finished', 0, 'failed', 0, 'working_ms', 0, unpack(fields))
  call('PEXPIRE', key, 86400000)
  call('ZADD', K.workers(), now, worker)
  return { 'done' }
end
