-- lib/set_aside: a record that cannot be dealt with is set aside with a sentence, so that everything else goes on
-- uses: -
-- A record with letters where a number belongs, say, must not end or stall the worker that meets it. `flowq doctor` lists what was set aside. Writes before the error stay, as in every script.
local KEPT = 1000 -- entries

function L.set_aside(kind, id, text)
  if call('HLEN', K.set_aside()) < KEPT then call('HSET', K.set_aside(), kind .. '|' .. id, text) end
end

-- Set aside what raised an error.
function L.fault(kind, id, raised)
  local text = tostring(type(raised) == 'table' and raised.err or raised)
  L.set_aside(kind, id, string.match(text, '^user_script:%d+: (.*)$') or text)
end

-- Call `deal` with the arguments; return whether that went well, and what it returned.
function L.guarded(kind, id, deal, ...)
  local well, result = pcall(deal, ...)
  if well then return true, result end
  L.fault(kind, id, result)
  return false, nil
end
