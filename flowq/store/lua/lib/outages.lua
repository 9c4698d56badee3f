-- lib/outages: excludes from leases the time in which the server accepted no write from any worker
-- uses: -
-- While the server is down, frozen, read-only or out of memory, no worker can send a heartbeat, and none can take a job over. Each
-- request of a worker's loop notes the time. A gap between two of them moves all leases: what was left of each before the gap is left of it
-- afterwards, so gaps never add up to more than one lease after the last. A clock that was set is a gap too, in either direction.
-- Time without any worker is such a gap as well. A lease that was not renewed between several gaps is not moved any more: workers that are
-- started from time to time, and that stop when the queues are empty, would never see it expire.
local GAP = 0.4 -- of a lease: live workers send heartbeats more often than that
local LEAST = 250 -- ms
local NOTED = 50 -- ms in which one note is enough: busy workers exchange thousands of times in a second
local MOVED = 5000 -- leases at most, the earliest ones
local GAPS = 5 -- after which a worker that lives has sent a heartbeat

function L.note_service(lease)
  local last = tonumber(served or '')
  local gap = now - (last or now)
  if last and gap >= 0 and gap < NOTED then return end
  L.ask() -- a user whose calls are refused does not show that the server serves
  call('HSET', KEYS[1], 'served', now)
  if gap < -LEAST then call('HSET', KEYS[1], 'set_back', '+inf 0') end -- for the next sweep, see lib/set_back
  if math.abs(gap) <= math.max(LEAST, lease * GAP) then return end
  local leases = call('ZRANGE', K.leases(), 0, MOVED - 1, 'WITHSCORES')
  for i = 1, #leases, 2 do
    local id = leases[i]
    local found = call('HMGET', K.job(id), 'token', 'gaps')
    local count, token = string.match(found[2] or '', '^(%d+) (.*)$')
    local gaps = token == found[1] and tonumber(count) or 0
    if gaps < GAPS then
      call('ZADD', K.leases(), 'XX', leases[i + 1] + gap, id)
      if found[1] then call('HSET', K.job(id), 'gaps', gaps + 1 .. ' ' .. found[1]) end
    end
  end
end
