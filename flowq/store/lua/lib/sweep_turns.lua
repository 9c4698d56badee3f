-- lib/sweep_turns: which of the workers sweeps
-- uses: -
-- One worker sweeps for all, so that what idle workers cost does not grow with their number. Its turn ends TURN after its latest sweep, and it
-- takes the next one itself as long as it lives. The others look whether one sweeps: together every SHARE, and each of them with its
-- heartbeats, for the case that most of them have gone at once.
local TURN = 750 -- ms; longer than the longest pause between two sweeps
local SHARE = 250 -- ms

local function turn()
  local over, worker = string.match(call('HGET', KEYS[1], 'sweeper') or '', '^(%d+) (.*)$')
  local left = (tonumber(over) or 0) - now
  if left > 0 and left <= TURN then return left, worker end -- else it is over, or the clock was set
end

function L.is_unswept()
  return not turn()
end

-- Take or keep the turn. Returns 0, or if another worker has it how long (ms) this one need not ask again.
function L.take_sweep_turn(worker)
  local left, other = turn()
  if left and other ~= worker then return math.max(left, SHARE * call('ZCARD', K.workers())) end
  call('HSET', KEYS[1], 'sweeper', now + TURN .. ' ' .. worker)
  return 0
end
