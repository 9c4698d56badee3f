-- backfill/create: begins to make runs for past slots of a schedule
-- edges: -
-- args: backfill nonce fields*
-- guard: the same nonce again is a duplicate, a taken id a conflict
-- replies: {done | duplicate | conflict}
-- uses: lib/slot_claims
local KEPT = 1000 -- backfills, the latest

local function forget_old()
  for _, id in ipairs(call('ZRANGE', K.backfills(), 0, -KEPT - 1)) do
    if call('SISMEMBER', K.backfills_open(), id) == 0 then
      call('ZREM', K.backfills(), id)
      call('DEL', K.backfill(id))
    end
  end
end

function T.create()
  local id, nonce, fields = A.text(), A.text(), A.list()
  local key = K.backfill(id)
  local known = call('HGET', key, 'nonce')
  if known then return { known == nonce and 'duplicate' or 'conflict' } end
  call('HSET', key, 'nonce', nonce, 'state', 'running', 'created_at', now, 'created', 0, 'left_out', 0, unpack(fields))
  call('ZADD', K.backfills(), now, id)
  call('SADD', K.backfills_open(), id)
  forget_old()
  L.call_schedulers()
  return { 'done' }
end
