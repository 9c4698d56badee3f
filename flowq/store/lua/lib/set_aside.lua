-- lib/set_aside: sets a record that cannot be processed aside with the reason, so that all other work continues
-- uses: -
-- A damaged record (letters in place of a number, say) must not end or stall the worker that reads it. `flowq doctor` lists what was set
-- aside, and the worker with the next sweep logs it. Writes before the error stay, as in every script.
local KEPT = 1000 -- entries

function L.set_aside(kind, id, text)
  local name = kind .. '|' .. id
  if call('HLEN', K.set_aside()) >= KEPT then return end
  if call('HSET', K.set_aside(), name, text) == 1 then call('RPUSH', K.set_aside_lately(), name) end
end

-- Return why a job does not belong where it was found, nil if it does. `status`: by its record, `place`: that of the structure.
function L.misplaced(status, place)
  if status == place then return nil end
  return 'it is ' .. place .. ' by its entry, ' .. (status and 'and ' .. status .. ' by its record' or 'and there is no such job')
end

local function text_of(raised)
  return tostring(type(raised) == 'table' and raised.err or raised)
end

-- Whether an error is of a right that the caller's user of the server does not have: it is no fault of a record. It was asked for (lib/rights), or is
-- one to a command before the first change, which the server refuses itself; the last one is the text of Redis 7.0.
local REFUSALS = { '^NOPERM ', '^ERR ACL failure in script', "^ERR The user executing the script can't " }
function L.forbidden(raised)
  local text = text_of(raised)
  for i = 1, #REFUSALS do
    if string.find(text, REFUSALS[i]) then return true end
  end
  return false
end

-- Set aside a record that raised an error. For want of a right the script ends with that error instead, and its caller says which it is: it is
-- called again when the user has the right. Jobs that it dealt with before are counted; nothing else of them is in memory.
function L.fault(kind, id, raised)
  if L.forbidden(raised) then
    if rawget(L, 'write_counts') then pcall(L.write_counts) end
    error(raised, 0)
  end
  local text = text_of(raised)
  L.set_aside(kind, id, string.match(text, '^user_%a+:%d+: (.*)$') or text)
end

-- Call `deal` with the arguments; return whether it succeeded, and its return value.
function L.guarded(kind, id, deal, ...)
  local well, result = pcall(deal, ...)
  if well then return true, result end
  L.fault(kind, id, result)
  return false, nil
end
