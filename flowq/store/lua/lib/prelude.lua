-- lib/prelude: the start of every script.
-- KEYS[1] is the meta key; its prefix, the hash tag of the namespace, is the prefix of every other key.
-- ARGV[1] is the incarnation the caller works on ('' when it does not care): data that was flushed or lost is noticed before
-- anything is written, so a beat can never bring back half a job.
local NS = string.sub(KEYS[1], 1, -5) -- per call
local K, L, T = {}, {}, {}
local call = redis.call -- per call

local function server_time()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local now = server_time() -- per call

-- The id of a job of a run. Random ids have a separator that ids which users choose may contain, so those have another one.
function L.member(run, ordinal)
  return run .. ((#run == 8 and not string.find(run, '[^%l%d]')) and '-' or ':') .. ordinal
end

-- The run and the ordinal of a job of a run.
function L.run_and_ordinal(id)
  return string.match(id, '^(.*)[-:](%d+)$')
end

-- Arguments are read in order: A.text(), A.number(), A.texts(n), A.list() (a count, then as many texts).
local UNPACKED = 1000 -- values on the stack of Lua, which is bounded
local A = {}
A.at = 1 -- per call
function A.text()
  A.at = A.at + 1
  return ARGV[A.at]
end
function A.number()
  return tonumber(A.text())
end
function A.texts(n)
  local first = A.at + 1
  A.at = A.at + n
  return unpack(ARGV, first, A.at)
end
function A.list()
  local count = A.number()
  if count == 0 then return {} end
  if count <= UNPACKED then return { A.texts(count) } end
  local out = {}
  for i = 1, count do out[i] = A.text() end
  return out
end
