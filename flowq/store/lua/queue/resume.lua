-- queue/resume: lets workers claim again
-- edges: -
-- args: -
-- guard: -
-- replies: {done | duplicate (nothing was suspended)}
-- uses: lib/status
function T.resume()
  if call('HDEL', KEYS[1], 'suspended') == 0 then return { 'duplicate' } end
  for _, queue in ipairs(call('SMEMBERS', K.queues())) do
    for _ = 1, math.min(call('ZCARD', K.queue(queue)), 64) do L.wake(queue) end
  end
  return { 'done' }
end
