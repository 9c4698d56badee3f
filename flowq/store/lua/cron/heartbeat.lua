-- cron/heartbeat: records that a cron scheduler lives, and returns the latest slots of its entries
-- edges: -
-- args: scheduler nonce ttl force fields* entries*
-- guard: no other scheduler of this name has beaten within `ttl` (ms), unless `force`
-- replies: {done, now, {latest slot or -1 of each entry}, {whether it had a job}} or {conflict, now, {hostname, pid, process of the other}}
-- uses: -
-- `entries` are "<id>|<1 when it starts with its first sight, 0 when it is due at once>".
local DAY = 86400000
local YEAR = 31536000000

function T.heartbeat()
  local name, nonce, ttl, force, fields, entries = A.text(), A.text(), A.number(), A.text(), A.list(), A.list()
  local key = K.scheduler(name)
  local seen = call('ZSCORE', K.schedulers(), name)
  local found = call('HMGET', key, 'nonce', 'hostname', 'pid', 'process')
  if force ~= '1' and seen and tonumber(seen) > now - ttl and found[1] and found[1] ~= nonce then
    return { 'conflict', now, { found[2] or '', found[3] or '', found[4] or '' } }
  end
  for _, old in ipairs(call('ZRANGEBYSCORE', K.schedulers(), '-inf', now - ttl)) do
    call('ZREM', K.schedulers(), old)
    call('DEL', K.scheduler(old))
  end
  call('HSET', key, 'nonce', nonce, unpack(fields))
  call('ZADD', K.schedulers(), now, name)
  local latest, had = {}, {}
  for i, text in ipairs(entries) do
    local id, waits = string.match(text, '^(.*)|(%d)$')
    local entry = K.cron(id)
    local slot, job = unpack(call('HMGET', entry, 'slot', 'job'))
    if not slot and waits == '1' then
      slot = now
      call('HSET', entry, 'slot', slot)
    end
    if tonumber(slot or -1) > now + DAY then -- the clock was ahead, and the entry would be silent until then
      slot = now
      call('HSET', entry, 'slot', slot)
    end
    if slot then call('PEXPIRE', entry, 2 * YEAR) end
    latest[i], had[i] = tonumber(slot or -1), job and 1 or 0
  end
  return { 'done', now, latest, had }
end
